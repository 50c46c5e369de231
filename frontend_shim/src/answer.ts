/** An answer being read: frames, the whole at the end, and its hash checked. */

import { joinAnswer, Listeners } from "./backlog.ts";
import { Lost, Problem, Withdrawn } from "./errors.ts";
import { type AnswerFrame, type EndFrame, type Flaw, flawOf, type ResetFrame } from "./frames.ts";
import { sha256 } from "./hash.ts";
import { Reading } from "./reading.ts";
import type { Accepted } from "./resources.ts";
import type { Followed } from "./transports/followed.ts";

/** An answer that has ended, however it did. */
export interface Whole {
  generation: string;
  text: string;
  thinking: string;
  toolCalls: unknown[];
  /** `completed`, `length`, `cancelled` or what went wrong. */
  reason: string;
  usage: EndFrame["usage"];
  error: EndFrame["error"];
  /** The text is what the server's hash says. */
  verified: boolean;
}

/**
 * An answer on its way. Iterate over it for its frames, as often as you like: each time all of it so far comes
 * first, joined. To stop iterating doesn't stop the answer; `leave()` stops reading it, `cancel()` stops making it.
 */
export interface Answer extends AsyncIterable<AnswerFrame> {
  /** The key of what was asked; null where an answer is only followed. */
  readonly ref: string | null;
  /** The conversation and text of a message sent from here; null otherwise. */
  readonly turn: { readonly conversation: string; readonly content: string } | null;
  /** The id of the generation, once it is known. */
  readonly generation: string | null;
  /** The text so far. */
  readonly text: string;
  readonly thinking: string;
  /** Settles when it is accepted: then it is stored and will be answered, whatever happens here. */
  readonly accepted: Promise<Accepted>;
  /** Settles when it has ended. An answer that failed is a whole too; only one that can't be read rejects. */
  readonly whole: Promise<Whole>;
  /** Have it stopped, or taken back where it waits to be sent. */
  cancel(): Promise<void>;
  /** Stop reading it; it goes on being made. */
  leave(): void;
}

/** What went wrong without ending anything. */
export type ReportKind = Flaw | "mismatch";

/** What an answer needs of the client. */
export interface AnswerHost {
  /** From now on it is known by its generation. */
  accepted(answer: FollowedAnswer): void;
  follow(followed: Followed): void;
  leave(followed: Followed): void;
  cancel(answer: FollowedAnswer): Promise<void>;
  report(kind: ReportKind, about: unknown): void;
}

export class FollowedAnswer implements Answer, Followed {
  readonly kind = "generation";
  readonly ref: string | null;
  readonly turn: Answer["turn"];
  generation: string | null = null;
  ended = false;
  readonly #host: AnswerHost;
  readonly #reading = new Reading();
  readonly #listeners = new Listeners<AnswerFrame>(joinAnswer);
  /** It was read from the start once more: another time wouldn't help. */
  #readAgain = false;
  readonly #accepted = promised<Accepted>();
  readonly #whole = promised<Whole>();
  readonly accepted = this.#accepted.promise;
  readonly whole = this.#whole.promise;

  constructor(host: AnswerHost, ref: string | null = null, turn: Answer["turn"] = null) {
    this.#host = host;
    this.ref = ref;
    this.turn = turn;
  }

  get id(): string {
    return this.generation ?? "";
  }

  get after(): string | null {
    return this.#reading.after;
  }

  get text(): string {
    return this.#reading.text;
  }

  get thinking(): string {
    return this.#reading.thinking;
  }

  [Symbol.asyncIterator](): AsyncGenerator<AnswerFrame, void, undefined> {
    return this.#listeners.listen(() => this.#reading.frames(this.id));
  }

  cancel(): Promise<void> {
    return this.#host.cancel(this);
  }

  leave(): void {
    this.fail(new Withdrawn());
  }

  /** It is accepted: from now on its frames may come. */
  settle(accepted: Accepted): void {
    this.generation = accepted.generation.id;
    if (!this.ended) this.#host.accepted(this);
    this.#accepted.resolve(accepted);
  }

  /** It will never be read to its end. */
  fail(error: unknown): void {
    if (this.ended) return;
    this.#host.leave(this);
    this.ended = true;
    this.#accepted.reject(error);
    this.#whole.reject(error);
    this.#listeners.finish(error);
  }

  // -- What a transport tells ---------------------------------------------------------------------------------------

  take(value: unknown): void {
    if (this.ended) return;
    const flaw = flawOf(value, "generation", this.id);
    if (flaw) return this.#host.report(flaw, value);
    const frame = value as AnswerFrame;
    if (!this.#reading.apply(frame)) return;
    if (frame.type === "end") void this.#check(frame);
    else this.#listeners.add(frame);
  }

  begin(after: string): void {
    this.#reading.after = after;
  }

  over(): void {
    if (this.ended) return;
    if (this.#readAgain) this.fail(new Lost());
    else this.#startAgain("position_unknown");
  }

  refused(error: unknown): boolean {
    // A position that was damaged on its way is no reason to give up.
    if (error instanceof Problem && error.code === "malformed_position" && !this.#readAgain) {
      this.#forget("position_unknown");
      return true;
    }
    this.fail(error);
    return false;
  }

  // -- The end ------------------------------------------------------------------------------------------------------

  async #check(end: EndFrame): Promise<void> {
    this.ended = true;
    this.#host.leave(this);
    // Where it can't be computed there is nothing to compare.
    const hash = await sha256(this.text).catch(() => null);
    const differs = hash !== null && hash !== end.sha256;
    if (differs) this.#host.report("mismatch", this.generation);
    if (differs && !this.#readAgain) this.#startAgain("mismatch");
    else this.#finish(end, hash === end.sha256);
  }

  #finish(end: EndFrame, verified: boolean): void {
    const { text, thinking, toolCalls } = this.#reading;
    const { generation, reason, usage, error } = end;
    this.#listeners.add(end);
    this.#listeners.finish();
    this.#whole.resolve({ generation, text, thinking, toolCalls, reason, usage, error, verified });
  }

  #startAgain(reason: ResetFrame["reason"]): void {
    this.#forget(reason);
    this.ended = false;
    this.#host.follow(this);
  }

  #forget(reason: ResetFrame["reason"]): void {
    this.#readAgain = true;
    this.#reading.startAgain();
    this.#listeners.add({ type: "reset", generation: this.id, id: null, reason });
  }
}

interface Promised<Value> {
  promise: Promise<Value>;
  resolve: (value: Value) => void;
  reject: (error: unknown) => void;
}

/** A promise that is settled from outside; nobody has to look at it. */
function promised<Value>(): Promised<Value> {
  let settle!: Omit<Promised<Value>, "promise">;
  const promise = new Promise<Value>((resolve, reject) => (settle = { resolve, reject }));
  promise.catch(() => undefined);
  return { promise, ...settle };
}
