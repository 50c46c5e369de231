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
  #recent: string[] = [];

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
    else if (frame.type === "tool_calls") this.toolCalls = this.toolCalls.concat(frame.calls);
    else if (frame.channel === "answer") this.text += frame.text;
    else if (frame.channel === "thinking") this.thinking += frame.text;
  }

  /** Begin again from a position, or from the start. */
  #forget(after: string | null): void {
    this.text = this.thinking = "";
    this.toolCalls = [];
    this.after = after;
    this.#started = null;
    this.#recent = [];
  }

  #isNew(id: string): boolean {
    if (this.#recent.includes(id)) return false;
    if (this.#recent.push(id) > RECENT) this.#recent.shift();
    return true;
  }

  /** All of it so far as frames, for whoever comes later. */
  frames(generation: string): AnswerFrame[] {
    const common = { generation, id: this.after ?? "" };
    const delta = (channel: "answer" | "thinking", text: string): AnswerFrame => ({ type: "delta", ...common, channel, text });
    const calls: AnswerFrame = { type: "tool_calls", ...common, calls: this.toolCalls };
    return [
      this.#started,
      this.thinking && delta("thinking", this.thinking),
      this.text && delta("answer", this.text),
      this.toolCalls.length > 0 && calls,
      this.end,
    ].filter((frame) => !!frame);
  }

  /** Forget the end too: the whole is read once more. */
  startAgain(): void {
    this.end = null;
    this.#forget(null);
  }
}
