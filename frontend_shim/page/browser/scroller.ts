/** Keeps a scrolled element at its end while it grows, and lets go as soon as the reader moves up. */

/** A reader this near to the end wants to stay there, in pixels. */
const NEAR = 48;

export class Scroller {
  readonly #element: HTMLElement;
  readonly #tell: (atEnd: boolean) => void;
  readonly #sizes = new ResizeObserver(() => this.stick());
  #pinned = true;
  /** Where it was scrolled to, in pixels. */
  #top = 0;

  constructor(element: HTMLElement, tell: (atEnd: boolean) => void) {
    this.#element = element;
    this.#tell = tell;
    element.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#sizes.observe(element);
  }

  release(): void {
    this.#sizes.disconnect();
  }

  toEnd(): void {
    this.#pinned = true;
    this.stick();
  }

  /** It has grown. */
  stick(): void {
    if (this.#pinned) this.#element.scrollTop = this.#element.scrollHeight;
    this.#tell(this.#pinned || this.#left < NEAR);
  }

  /** Do what adds something above, without moving what is read. */
  async keepPlace(add: () => Promise<void>): Promise<void> {
    const left = this.#element.scrollHeight - this.#element.scrollTop;
    await add();
    this.#pinned = false;
    this.#element.scrollTop = this.#element.scrollHeight - left;
  }

  /** The least step upwards lets go: nobody should have to pull. */
  #scrolled(): void {
    const up = this.#element.scrollTop < this.#top && this.#left > 1;
    this.#top = this.#element.scrollTop;
    this.#pinned = this.#left < NEAR && !up;
    this.#tell(this.#pinned || this.#left < NEAR);
  }

  get #left(): number {
    return this.#element.scrollHeight - this.#element.scrollTop - this.#element.clientHeight;
  }
}
