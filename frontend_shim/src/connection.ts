/** How it stands with the connection, as a page is told. */

import type { Transport } from "./transports/choice.ts";

/**
 * - `idle`: nothing was asked for yet
 * - `connecting`: the first try, or another one
 * - `live`: the server answers
 * - `waiting`: it doesn't; the next try is at `until`
 * - `paused`: nobody sees the page, so the connection was let go
 * - `stopped`: the server doesn't want us, `error` says why; only `connect()` begins again
 * - `closed`: by `close()`
 */
export type ConnectionState = "idle" | "connecting" | "live" | "waiting" | "paused" | "stopped" | "closed";

export interface Connection {
  readonly state: ConnectionState;
  readonly transport: Transport;
  /** When waiting: the time of the next try, in milliseconds since 1970. */
  readonly until: number | null;
  /** When stopped: why. */
  readonly error: unknown;
}
