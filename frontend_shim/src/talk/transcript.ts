/** Lines become elements of a log: what changed is painted once a frame, and the reader's place is kept. */

import type { Line } from "./line.ts";

/** How one line looks. */
export interface LineView {
  readonly element: HTMLElement;
  show(line: Line): void;
}

/** Pixels from the end within which a reader counts as following it. */
const NEAR = 48;

export class Transcript {
  readonly #log: HTMLElement;
  readonly #viewOf: (line: Line) => LineView;
  readonly #views = new Map<Line, { view: LineView; version: number }>();

  constructor(log: HTMLElement, viewOf: (line: Line) => LineView) {
    this.#log = log;
    this.#viewOf = viewOf;
  }

  paint(lines: readonly Line[]): void {
    this.change(() => {
      this.#removeAllBut(new Set(lines));
      for (const line of lines) this.#show(line);
      this.#order(lines);
    }, this.#growsAtTheTop(lines));
  }

  /** Change what the log shows; who reads its end, or sees it grow at the top, goes on reading where they are. */
  change(act: () => void, atTheTop = false): void {
    const log = this.#log;
    const below = log.scrollHeight - log.scrollTop;
    const follows = below - log.clientHeight < NEAR;
    act();
    if (atTheTop) log.scrollTop = log.scrollHeight - below;
    else if (follows) log.scrollTop = log.scrollHeight;
  }

  clear(): void {
    this.#removeAllBut(new Set());
  }

  /** Earlier messages shall not push away what is being read. */
  #growsAtTheTop(lines: readonly Line[]): boolean {
    return this.#views.size > 0 && lines.length > 0 && !this.#views.has(lines[0]!) && this.#views.has(lines.at(-1)!);
  }

  #removeAllBut(lines: ReadonlySet<Line>): void {
    for (const [line, { view }] of this.#views) {
      if (lines.has(line)) continue;
      view.element.remove();
      this.#views.delete(line);
    }
  }

  #show(line: Line): void {
    const shown = this.#views.get(line) ?? { view: this.#viewOf(line), version: -1 };
    this.#views.set(line, shown);
    if (shown.version === line.version) return;
    shown.version = line.version;
    shown.view.show(line);
  }

  /** Only what isn't in its place is moved: moving would end a selection. */
  #order(lines: readonly Line[]): void {
    let next: Element | null = null;
    for (const line of [...lines].reverse()) {
      const { element } = this.#views.get(line)!.view;
      if (element.parentNode !== this.#log || element.nextElementSibling !== next) this.#log.insertBefore(element, next);
      next = element;
    }
  }
}

/** A text that grows: only what is new is added, so that long answers stay cheap and a selection stays. */
export class GrowingText {
  readonly node: Text;

  constructor(parent: HTMLElement) {
    this.node = parent.ownerDocument.createTextNode("");
    parent.append(this.node);
  }

  show(text: string): void {
    const { data } = this.node;
    if (!text.startsWith(data)) this.node.data = text;
    else if (text.length > data.length) this.node.appendData(text.slice(data.length));
  }
}

/** Calls once a frame, however often it is asked to. */
export function oncePerFrame(view: Window, paint: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    view.requestAnimationFrame(() => {
      asked = false;
      paint();
    });
  };
}

/** Enter sends, unless it breaks the line or ends a word that is being composed. */
export const sendsByEnter = ({ key, shiftKey, isComposing }: KeyboardEvent): boolean => key === "Enter" && !shiftKey && !isComposing;
