/** A conversation being watched: what changes in it, whoever changes it. */

import { joinChanges, Listeners } from "./backlog.ts";
import { type ConversationFrame, type Flaw, flawOf } from "./frames.ts";
import { Problem } from "./errors.ts";
import type { Followed } from "./transports/followed.ts";

export interface WatchingHost {
  leave(followed: Followed): void;
  report(kind: Flaw, about: unknown): void;
}

export class Watching implements Followed {
  readonly kind = "conversation";
  readonly id: string;
  after: number | null;
  ended = false;
  readonly #host: WatchingHost;
  readonly #listeners = new Listeners<ConversationFrame>(joinChanges);
  #watchers = 0;

  constructor(host: WatchingHost, conversation: string, after: number | null) {
    this.#host = host;
    this.id = conversation;
    this.after = after;
  }

  /** Listen until the conversation is deleted, or the listener has enough; the last one lets the conversation go. */
  listen(): AsyncGenerator<ConversationFrame, void, undefined> {
    const begin = (): [] => (this.#watchers++, []);
    return this.#listeners.listen(begin, () => --this.#watchers || this.#finish());
  }

  take(value: unknown): void {
    const flaw = flawOf(value, "conversation", this.id);
    if (flaw) return this.#host.report(flaw, value);
    const frame = value as ConversationFrame;
    // A change that came before, perhaps over another connection, is known; so is one that was late.
    if (frame.type !== "reset" && this.after !== null && frame.id <= this.after) return;
    this.after = frame.id;
    this.#listeners.add(frame);
    if (frame.type === "deleted") this.#finish();
  }

  begin(after: string): void {
    this.after = Number(after);
  }

  over(): void {
    this.#finish();
  }

  /** One that was deleted while nobody listened is gone, and after a close nothing comes. */
  refused(error: unknown): boolean {
    this.#finish(error instanceof Problem && error.status !== 404 ? error : null);
    return false;
  }

  #finish(error: unknown = null): void {
    this.#host.leave(this);
    this.ended = true;
    this.#listeners.finish(error);
  }
}
