/** What transports carry, and what they are given to do it. */

import type { Clock } from "../environment.ts";

/** Something read from a position on: an answer's log, or what changes in a conversation. */
export interface Followed {
  readonly kind: "generation" | "conversation";
  readonly id: string;
  /** The position to give back; null before there is one. */
  readonly after: string | number | null;
  /** Nothing more is wanted. */
  readonly ended: boolean;
  /** A frame arrived; whatever it is, this doesn't throw. */
  take(frame: unknown): void;
  /** A position to give back before anything has come. */
  begin(after: string): void;
  /** The server says that nothing follows. */
  over(): void;
  /** The server says no; true to try again all the same. */
  refused(error: unknown): boolean;
}

export const eventsPath = ({ kind, id }: Followed): string => `${kind}s/${encodeURIComponent(id)}/events`;

/** Gives a connection up that is silent for longer than it was granted. */
export class Patience {
  readonly #clock: Clock;
  readonly #lose: () => void;
  #stop: () => void = () => undefined;

  constructor(clock: Clock, lose: () => void) {
    this.#clock = clock;
    this.#lose = lose;
  }

  /** Something was heard: from now on, so many milliseconds. */
  grant(ms: number): void {
    this.#stop();
    this.#stop = this.#clock.after(ms, this.#lose);
  }

  end(): void {
    this.#stop();
  }
}

/** Milliseconds for the first word on a connection; what holds it back longer holds back everything. */
export const HELLO_MS = 3_000;
/** Heartbeats that may be late before a connection counts as held back or dead. */
const LATE = 2.5;

/** Milliseconds of silence to bear where a heartbeat comes every so many seconds. */
export function bearable(heartbeat: unknown): number {
  const seconds = typeof heartbeat === "number" && heartbeat > 0 ? heartbeat : 15;
  return Math.min(Math.max(seconds * LATE, 1), 120) * 1000;
}
