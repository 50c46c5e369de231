/** A block of code: its language, a button to copy it, and its text, which can grow line by line. */

import { copyText } from "../browser/copy.ts";
import { highlight } from "./highlight.ts";
import { say } from "../words/say.ts";

/** Lines that are laid out together; only the newest of them change while the code grows. */
const LINES_TOGETHER = 40;

export class CodeBlock {
  readonly element = document.createElement("figure");
  readonly #code = document.createElement("code");
  readonly #language: string;
  #text = "";
  #part: Text | null = null;
  #linesInPart = 0;
  /** The line that isn't whole yet. */
  readonly #rest = document.createTextNode("");

  constructor(language: string) {
    this.#language = language;
    this.element.className = "code";
    const pre = document.createElement("pre");
    // Long lines move sideways, also by keyboard.
    pre.tabIndex = 0;
    pre.append(this.#code);
    this.#code.append(this.#rest);
    this.element.append(this.#head(), pre);
  }

  /** Add whole lines, each with its line break. */
  add(lines: readonly string[]): void {
    for (const line of lines) {
      if (!this.#part || this.#linesInPart === LINES_TOGETHER) this.#beginPart();
      this.#part!.appendData(line);
      this.#linesInPart++;
    }
    this.#text += lines.join("");
  }

  /** Show what there is of the next line. */
  showRest(rest: string): void {
    if (this.#rest.data !== rest) this.#rest.data = rest;
  }

  /** Nothing follows: now it is worth colours. */
  finish(): void {
    highlight(this.#code, this.#text + this.#rest.data, this.#language);
  }

  #beginPart(): void {
    const around = document.createElement("span");
    this.#part = document.createTextNode("");
    this.#linesInPart = 0;
    around.append(this.#part);
    this.#rest.before(around);
  }

  #head(): HTMLElement {
    const head = document.createElement("figcaption");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = say("copyCode");
    button.addEventListener("click", () => void this.#copy(button));
    head.append(this.#language, button);
    return head;
  }

  async #copy(button: HTMLButtonElement): Promise<void> {
    if (!(await copyText((this.#text + this.#rest.data).replace(/\n$/, "")))) return;
    button.textContent = say("copied");
    setTimeout(() => (button.textContent = say("copyCode")), 2000);
  }
}

/** Make of code that came whole what code that grew is made of. */
export function codeBlockOf(pre: Element): CodeBlock {
  const code = pre.querySelector("code");
  const block = new CodeBlock(/language-(\S+)/.exec(code?.className ?? "")?.[1] ?? "");
  block.add((pre.textContent ?? "").match(/[^\n]*\n|[^\n]+$/g) ?? []);
  block.finish();
  return block;
}
