/** An answer, as the page has it: expected, being made, or ended. */

import type { Answer } from "../../src/answer.ts";
import type { AnswerFrame, EndFrame } from "../../src/frames.ts";
import type { Generation, Message } from "../../src/resources.ts";
import { explainEnd, say } from "../words/say.ts";
import type { ContextReport } from "./context-report.ts";
import { LiveText } from "./live-text.ts";

/** Where it stands: expected until the server has accepted it, then being made, then ended. */
export type Stage = "expected" | "making" | "ended";

export interface Note {
  readonly text: string;
  readonly kind: "wait" | "error" | "plain";
}

export class Reply {
  readonly kind = "reply";
  readonly key = crypto.getRandomValues(new Uint32Array(1))[0]!;
  readonly text = new LiveText();
  readonly thinking = new LiveText();
  /** Its message; null until the server has accepted it. */
  id = $state<string | null>(null);
  versions = $state.raw<readonly string[]>([]);
  stage = $state<Stage>("expected");
  note = $state.raw<Note | null>(null);
  hasThoughts = $state(false);
  failed = $state(false);
  report = $state.raw<ContextReport | null>(null);
  model = $state<string | null>(null);
  generation: string | null = null;
  #answer: Answer | null = null;

  static of(message: Message): Reply {
    const reply = new Reply();
    reply.be(message);
    if (reply.stage === "ended") reply.text.take(() => message.content, true);
    return reply;
  }

  get busy(): boolean {
    return this.stage !== "ended";
  }

  /** Be what the server has; its text comes by itself while it is followed. */
  be({ id, versions, generation, model, status }: Message): void {
    this.id = id;
    this.versions = versions;
    this.generation = generation;
    this.model = model;
    if (this.#answer) return;
    this.stage = status === "queued" || status === "running" ? "making" : "ended";
    this.failed = status === "failed" || status === "dead";
    this.#say(explainEnd(status), this.failed ? "error" : "plain");
  }

  /** It is accepted: its message will be this one. */
  accept(generation: Generation): void {
    this.id = generation.message;
    this.generation = generation.id;
    this.model = generation.model;
    if (this.versions.length === 0 && this.id) this.versions = [this.id];
    if (this.stage === "expected") this.stage = "making";
  }

  /** What only its generation tells of one that has ended. */
  tell({ reason, error, thinking, context }: Generation): void {
    this.report = context as ContextReport | null;
    this.hasThoughts = Boolean(thinking);
    this.thinking.take(() => thinking ?? "", true);
    if (reason) this.#conclude(reason, error);
  }

  /** Read it while it is made, to its end. */
  async read(answer: Answer): Promise<void> {
    this.#answer = answer;
    this.#say("", "wait");
    try {
      for await (const frame of answer) this.#take(frame, answer);
    } catch {
      // Who asked for it is told by `accepted`; one that can't be read is as the server has it.
    } finally {
      this.#answer = null;
    }
  }

  /** Have it stopped, or taken back where it isn't sent yet. */
  async stop(): Promise<void> {
    await this.#answer?.cancel();
  }

  /** Read it no longer; it goes on being made. One that isn't accepted has to be. */
  leave(): void {
    if (this.id !== null) this.#answer?.leave();
  }

  #take(frame: AnswerFrame, answer: Answer): void {
    switch (frame.type) {
      case "queued":
        return this.#say(placeOf(frame.position, frame.eta_ms), "wait");
      case "started":
        this.report = frame.context as ContextReport | null;
        this.model = frame.model;
        return this.#say(say("preparing"), "wait");
      case "delta":
        return this.#grow(frame.channel, answer);
      case "reset":
        this.hasThoughts = false;
        for (const text of [this.text, this.thinking]) text.take(() => "", false);
        return this.#say(say("again"), "wait");
      case "end":
        return this.#end(frame, answer);
    }
  }

  #grow(channel: "answer" | "thinking", answer: Answer): void {
    if (channel === "answer") this.text.take(() => answer.text, false);
    else this.thinking.take(() => answer.thinking, false);
    this.hasThoughts ||= channel === "thinking";
    this.#say(channel === "thinking" ? say("thinking") : "", "wait");
  }

  #end({ reason, error }: EndFrame, { text, thinking }: Answer): void {
    this.text.take(() => text, true);
    this.thinking.take(() => thinking, true);
    this.#conclude(reason, error);
    this.stage = "ended";
  }

  #conclude(reason: string, error: EndFrame["error"]): void {
    const leftOut = this.report?.left_out ?? 0;
    this.failed = error !== null;
    this.#say(explainEnd(reason, error) || (leftOut ? say("leftOut", { count: leftOut }) : ""), error ? "error" : "plain");
  }

  #say(text: string, kind: Note["kind"]): void {
    if (this.note?.text !== text || this.note.kind !== kind) this.note = text || kind === "wait" ? { text, kind } : null;
  }
}

function placeOf(position: number, etaMs: number | null): string {
  const seconds = Math.ceil((etaMs ?? 0) / 1000);
  return say(seconds ? "queuedFor" : "queued", { position, seconds });
}
