/** What transports carry, and what they are given to do it. */

import type { Clock, Environment } from "../environment.ts";
import type { Http } from "../http.ts";

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

/** Reads what is followed by server-sent events, until its end or until the signal; a loss is thrown. */
export type EventReader = (
  followed: Followed,
  http: Http,
  environment: Environment,
  heard: () => void,
  signal: AbortSignal,
) => Promise<void>;

/** Where what follows its position is read. */
export function eventsPath({ kind, id, after }: Followed, wait = ""): string {
  const from = after === null ? "" : `?after=${encodeURIComponent(after)}${wait}`;
  return `${kind}s/${encodeURIComponent(id)}/events${from}`;
}

/** Gives a connection up that is silent for longer than it was granted. */
export interface Patience {
  /** Something was heard: from now on, so many milliseconds. */
  grant(ms: number): void;
  end(): void;
}

export function patienceOf(clock: Clock, lose: () => void): Patience {
  let stop = (): void => undefined;
  return {
    grant(ms) {
      stop();
      stop = clock.after(ms, lose);
    },
    end: () => stop(),
  };
}

/** Milliseconds for the first word on a connection; what holds it back longer holds back everything. */
export const HELLO_MS = 3_000;
/** How many times the usual pause may pass before a connection counts as held back or dead; in milliseconds a second. */
const LATE_MS = 2500;

/** Milliseconds of silence to bear where a heartbeat comes every so many seconds. */
export function bearable(heartbeat: unknown): number {
  return (Number(heartbeat) || 15) * LATE_MS;
}
