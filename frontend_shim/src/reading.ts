/** What a reader has of an answer so far: frames are applied, repeats are spotted. Plain data, no connection. */

import type { AnswerFrame, EndFrame, StartedFrame } from "./frames.ts";

/** Positions kept to know a repeat by; one from further back shows in the hash at the end. */
const RECENT = 256;

export class Reading {
  text = "";
  thinking = "";
  toolCalls: unknown[] = [];
  /** The position to give back to go on from here. */
  after: string | null = null;
  end: EndFrame | null = null;
  #started: StartedFrame | null = null;
  readonly #recent = new Set<string>();

  /** Take a frame in; false for one that was seen before or comes after the end. */
  apply(frame: AnswerFrame): boolean {
    if (this.end) return false;
    if (frame.type === "queued") return true;
    if (frame.type === "reset") this.#forget(frame.id);
    else if (!this.#isNew(frame.id)) return false;
    else this.#add(frame);
    return true;
  }

  #add(frame: Exclude<AnswerFrame, { type: "queued" | "reset" }>): void {
    this.after = frame.id;
    if (frame.type === "end") this.end = frame;
    else if (frame.type === "started") this.#started = frame;
    else if (frame.type === "tool_calls") this.toolCalls = [...this.toolCalls, ...frame.calls];
    else if (frame.type === "delta" && frame.channel === "answer") this.text += frame.text;
    else if (frame.type === "delta") this.thinking += frame.text;
  }

  /** Begin again from a position, or from the start. */
  #forget(after: string | null): void {
    this.text = this.thinking = "";
    this.toolCalls = [];
    this.after = after;
    this.#started = null;
    this.#recent.clear();
  }

  #isNew(id: string): boolean {
    if (this.#recent.has(id)) return false;
    if (this.#recent.size >= RECENT) for (const oldest of this.#recent) if (this.#recent.delete(oldest)) break;
    this.#recent.add(id);
    return true;
  }

  /** All of it so far as frames, for whoever comes later. */
  frames(generation: string): AnswerFrame[] {
    const common = { generation, id: this.after ?? "" };
    const delta = (channel: "answer" | "thinking", text: string): AnswerFrame[] =>
      text ? [{ type: "delta", ...common, channel, text }] : [];
    return [
      ...(this.#started ? [this.#started] : []),
      ...delta("thinking", this.thinking),
      ...delta("answer", this.text),
      ...(this.toolCalls.length > 0 ? [{ type: "tool_calls" as const, ...common, calls: this.toolCalls }] : []),
      ...(this.end ? [this.end] : []),
    ];
  }

  /** Forget the end too: the whole is read once more. */
  startAgain(): void {
    this.end = null;
    this.#forget(null);
  }
}
