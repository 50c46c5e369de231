/** Markdown as elements. Only those named here are made, each by hand, so nothing that an answer holds can run. */

import { Lexer, type Token, type Tokens } from "marked";

/** Shows a text that grows: what can't change any more is read and made once. */
export class MarkdownView {
  readonly #root: HTMLElement;
  #text = "";
  /** Characters whose elements are there to stay. */
  #settled = 0;
  /** Elements of the last block, which may become another. */
  #tail: Node[] = [];

  constructor(root: HTMLElement) {
    this.#root = root;
  }

  show(given: string): void {
    const text = given.replace(/\r\n?/g, "\n");
    if (text === this.#text) return;
    if (!text.startsWith(this.#text)) this.#beginAgain();
    this.#text = text;
    for (const node of this.#tail.splice(0)) (node as ChildNode).remove();
    const tokens = new Lexer({ gfm: true }).lex(text.slice(this.#settled));
    const last = tokens.map(({ type }) => type !== "space").lastIndexOf(true);
    for (const [at, token] of tokens.entries()) {
      const nodes = block(token);
      this.#root.append(...nodes);
      if (at < last) this.#settled += token.raw.length;
      else this.#tail.push(...nodes);
    }
  }

  #beginAgain(): void {
    this.#root.replaceChildren();
    this.#settled = 0;
    this.#tail = [];
  }
}

function block(token: Token): Node[] {
  switch (token.type) {
    case "space":
    case "def":
      return [];
    case "heading":
      // The page and the panel have headings above these.
      return [made(`h${Math.min(token.depth + 2, 6)}`, inline(token.tokens))];
    case "paragraph":
      return [made("p", inline(token.tokens))];
    case "code":
      return [code(token.text)];
    case "blockquote":
      return [made("blockquote", (token.tokens ?? []).flatMap(block))];
    case "list":
      return [list(token as Tokens.List)];
    case "table":
      return [table(token as Tokens.Table)];
    case "hr":
      return [made("hr")];
    case "text":
      return token.tokens ? inline(token.tokens) : [text(token.raw)];
    default:
      return [made("p", [text(token.raw)])];
  }
}

function inline(tokens: Token[] = []): Node[] {
  return tokens.flatMap((token) => {
    switch (token.type) {
      case "strong":
      case "em":
      case "del":
        return made(token.type, inline(token.tokens));
      case "codespan":
        return made("code", [text(token.text)]);
      case "br":
        return made("br");
      case "link":
        return link(token as Tokens.Link);
      case "escape":
        return text(token.text);
      case "text":
        return token.tokens ? inline(token.tokens) : text(token.text);
      default:
        return text(token.raw);
    }
  });
}

function code(content: string): HTMLElement {
  const element = made("pre", [made("code", [text(content)])]);
  // A long line is scrolled to by keyboard too.
  element.tabIndex = 0;
  return element;
}

function list({ ordered, start, items }: Tokens.List): HTMLElement {
  const element = made(ordered ? "ol" : "ul", items.map((item) => made("li", item.tokens.flatMap(block))));
  if (ordered && start !== 1) element.setAttribute("start", String(start));
  return element;
}

function table({ header, rows }: Tokens.Table): HTMLElement {
  const row = (cells: Tokens.TableCell[], name: string): HTMLElement => made("tr", cells.map(({ tokens }) => made(name, inline(tokens))));
  return made("table", [made("thead", [row(header, "th")]), made("tbody", rows.map((cells) => row(cells, "td")))]);
}

/** Leads to pages and mail; anything else an address may begin with is only text. */
function link({ href, raw, tokens }: Tokens.Link): Node {
  if (!/^(https?:|mailto:)/i.test(href)) return text(raw);
  const element = made("a", inline(tokens)) as HTMLAnchorElement;
  element.href = href;
  element.target = "_blank";
  element.rel = "noopener noreferrer";
  return element;
}

const text = (content: string): Text => document.createTextNode(content);

function made(name: string, children: Node[] = []): HTMLElement {
  const element = document.createElement(name);
  element.append(...children);
  return element;
}
