/** A text that grows too often for the page to be told each time: whoever shows it is told once a frame. */

import { forgetPainting, paintSoon } from "../browser/painting.ts";

export type Show = (text: string, whole: boolean) => void;

export class LiveText {
  #text: () => string = () => "";
  #whole = false;
  #show: Show | null = null;

  get text(): string {
    return this.#text();
  }

  /** Take the text from there, each time it is shown. */
  take(text: () => string, whole: boolean): void {
    this.#text = text;
    this.#whole = whole;
    if (this.#show) paintSoon(this.#paint);
  }

  /** Have it shown from now on; what is given back ends that. */
  showBy(show: Show): () => void {
    this.#show = show;
    paintSoon(this.#paint);
    return () => {
      this.#show = null;
      forgetPainting(this.#paint);
    };
  }

  readonly #paint = (): void => this.#show?.(this.#text(), this.#whole);
}
