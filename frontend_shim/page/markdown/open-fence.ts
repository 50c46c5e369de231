/** Fenced code that is being written: each line is looked at once, whatever came before it. */

import { CodeBlock } from "./code-block.ts";

const OPENING = /^( {0,3})(`{3,}(?=[^`\n]*\n)|~{3,}(?=[^\n]*\n))([^\n]*)\n/;

export class OpenFence {
  readonly block: CodeBlock;
  readonly #indent: RegExp;
  readonly #closing: RegExp;
  /** Up to where lines are in the block. */
  #at: number;

  /** Whether a fence begins at this place of the text, its first line being whole. */
  static begins(text: string, at: number): boolean {
    return OPENING.test(text.slice(at, at + 200));
  }

  constructor(text: string, at: number) {
    const [opening, indent, fence, info] = OPENING.exec(text.slice(at, at + 200)) as unknown as string[];
    this.block = new CodeBlock(info!.trim().split(/\s/)[0] ?? "");
    this.#indent = new RegExp(`^ {0,${indent!.length}}`);
    this.#closing = new RegExp(`^ {0,3}\\${fence![0]}{${fence!.length},}[ \\t]*$`);
    this.#at = at + opening!.length;
  }

  /** Take in what is new of the text; the place after the fence once it is closed, null before. */
  read(text: string, whole: boolean): number | null {
    const lines: string[] = [];
    for (let end = text.indexOf("\n", this.#at); end >= 0; end = text.indexOf("\n", this.#at)) {
      const line = text.slice(this.#at, end + 1);
      this.#at = end + 1;
      if (this.#closing.test(line.slice(0, -1))) return this.#close(lines, "");
      lines.push(line.replace(this.#indent, ""));
    }
    const rest = text.slice(this.#at);
    if (whole) this.#at = text.length;
    if (whole) return this.#close(lines, this.#closing.test(rest) ? "" : rest);
    this.block.add(lines);
    // What may become the closing mark isn't shown as code before it is none.
    this.block.showRest(/^ {0,3}[`~]*$/.test(rest) ? "" : rest.replace(this.#indent, ""));
    return null;
  }

  #close(lines: string[], rest: string): number {
    this.block.add(lines);
    this.block.showRest(rest);
    this.block.finish();
    return this.#at;
  }
}
