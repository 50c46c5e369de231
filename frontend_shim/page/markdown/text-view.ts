/**
 * Shows Markdown that is still being written. Blocks that nothing can change any more are made once and stay; only
 * the last one is made anew with each painting, so a painting costs the same however long the text is.
 */

import type { Token, Tokens } from "marked";
import { codeBlockOf } from "./code-block.ts";
import { htmlOf, lex } from "./grammar.ts";
import { OpenFence } from "./open-fence.ts";
import { sanitised } from "./sanitised.ts";

/** Blocks that are laid out together: out of sight, the browser skips them together. */
const BLOCKS_TOGETHER = 24;
/** Items of a list that may still be made anew together. */
const MOST_ITEMS = 24;

export class TextView {
  readonly #host: HTMLElement;
  readonly #tail = document.createElement("div");
  #section: HTMLElement | null = null;
  /** How far the text is settled. */
  #settled = 0;
  #shown = 0;
  #fence: OpenFence | null = null;
  /** The level of the last settled heading: one below it may follow, or one above. */
  #level = 1;

  constructor(host: HTMLElement) {
    this.#host = host;
    this.clear();
  }

  clear(): void {
    this.#host.replaceChildren(this.#tail);
    this.#tail.replaceChildren();
    this.#tail.className = "tail";
    this.#section = this.#fence = null;
    this.#settled = this.#shown = 0;
    this.#level = 1;
  }

  /** Show the text, which begins with what was shown before; `whole` says that nothing follows. */
  show(text: string, whole: boolean): void {
    if (text.length < this.#shown) this.clear();
    this.#shown = text.length;
    while (this.#fence || OpenFence.begins(text, this.#settled)) {
      if (!this.#showFence(text, whole)) return;
    }
    this.#showBlocks(text, whole);
  }

  /** Code goes on line by line; false if it isn't over. */
  #showFence(text: string, whole: boolean): boolean {
    this.#fence ??= this.#openFence(text);
    const end = this.#fence.read(text, whole);
    if (end === null) return false;
    this.#settle(this.#fence.block.element);
    this.#fence = null;
    this.#tail.replaceChildren();
    this.#settled = end;
    return true;
  }

  #openFence(text: string): OpenFence {
    const fence = new OpenFence(text, this.#settled);
    this.#tail.replaceChildren(fence.block.element);
    return fence;
  }

  #showBlocks(text: string, whole: boolean): void {
    const tokens = lex(text.slice(this.#settled));
    const last = whole ? tokens.length : firstUnsettled(tokens);
    for (const token of tokens.slice(0, Math.max(last, 0))) {
      this.#settleToken(token);
      this.#settled += token.raw.length;
    }
    const rest = whole ? [] : tokens.slice(Math.max(last, 0)).flatMap((token) => this.#settleItems(token));
    if (rest[0] && this.#isAtFence(rest[0], text)) return this.show(text, whole);
    this.#tail.replaceChildren(this.#nodesOf(rest, this.#level));
  }

  /** Whether what comes next is code that can grow by itself. */
  #isAtFence(token: Token, text: string): boolean {
    return token.type === "code" && OpenFence.begins(text, this.#settled);
  }

  /** A long list settles but for its last items, and what is left of it is a list that goes on. */
  #settleItems(token: Token): Token[] {
    if (token.type !== "list" || token.items.length <= MOST_ITEMS) return [token];
    const list = token as Tokens.List;
    const items = list.items.slice(0, -2);
    const raw = items.map((item) => item.raw).join("");
    if (!list.raw.startsWith(raw)) return [token];
    this.#settleToken({ ...list, items, raw });
    this.#settled += raw.length;
    return [{ ...list, items: list.items.slice(-2), start: list.ordered ? Number(list.start) + items.length : list.start }];
  }

  #settleToken(token: Token): void {
    if (token.type === "space") return;
    const nodes = this.#nodesOf([token], this.#level);
    const level = /^H(\d)$/.exec(nodes.firstElementChild?.tagName ?? "")?.[1];
    if (level) this.#level = Number(level);
    for (const pre of nodes.querySelectorAll("pre")) pre.replaceWith(codeBlockOf(pre).element);
    this.#settle(nodes);
  }

  #settle(nodes: Node): void {
    if (!this.#section || this.#section.childElementCount >= BLOCKS_TOGETHER) {
      this.#section?.classList.remove("newest");
      this.#section = document.createElement("div");
      this.#section.className = "section newest";
      this.#tail.before(this.#section);
    }
    this.#section.append(nodes);
  }

  #nodesOf(tokens: Token[], level: number): DocumentFragment {
    const nodes = sanitised(htmlOf(tokens));
    for (const heading of nodes.querySelectorAll("h1, h2, h3, h4, h5, h6")) lower(heading, level);
    return nodes;
  }
}

/** What may begin another item of the list before it. */
const MARK = /^ {0,3}(?:\d{1,9}[.)]?|[-*+])\s*$/;

/** The last block can still change; a list before it too, while it may go on. */
function firstUnsettled(tokens: Token[]): number {
  const last = tokens.findLastIndex(({ type }) => type !== "space");
  const before = tokens.slice(0, Math.max(last, 0)).findLastIndex(({ type }) => type !== "space");
  return tokens[before]?.type === "list" && MARK.test(tokens[last]!.raw) ? before : last;
}

/** The page's own heading is above those of an answer, none of which leaves a level out. */
function lower(heading: Element, before: number): void {
  const wanted = Math.min(Number(heading.tagName[1]) + 1, before + 1, 6);
  const lowered = document.createElement(`h${wanted}`);
  lowered.append(...heading.childNodes);
  heading.replaceWith(lowered);
}
