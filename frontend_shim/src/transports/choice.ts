/** Which transport: the best that works, remembered for a day, a better one tried again later. */

import { type Environment, keep, recall } from "../environment.ts";
import type { Json } from "../frames.ts";

/** Best first. */
export const TRANSPORTS = ["websocket", "sse", "longpoll"] as const;
export type Transport = (typeof TRANSPORTS)[number];

const DAY_MS = 24 * 3600 * 1000;
/** Until a better one is tried again: doubled each time in vain. */
const FIRST_RISE_MS = 60_000;
const LONGEST_RISE_MS = 3600 * 1000;

export class Choice {
  current: Transport;
  readonly #offered: readonly Transport[];
  readonly #environment: Environment;
  readonly #key: string;
  #risesInVain = 0;

  constructor(offered: readonly Transport[], environment: Environment, origin: string) {
    this.#offered = TRANSPORTS.filter((one) => offered.includes(one) && (one !== "websocket" || environment.WebSocket));
    if (this.#offered.length === 0) throw new TypeError("transports");
    this.#environment = environment;
    this.#key = `chatserver.transport ${origin}`;
    this.current = this.#remembered() ?? this.#offered[0]!;
  }

  /** Those that would be better than the current one. */
  get better(): readonly Transport[] {
    return this.#offered.slice(0, this.#offered.indexOf(this.current));
  }

  /** Milliseconds until a better one is tried. */
  get risesIn(): number {
    return Math.min(FIRST_RISE_MS * 2 ** this.#risesInVain, LONGEST_RISE_MS);
  }

  roseInVain(): void {
    this.#risesInVain++;
  }

  /** Take the next lower one, if there is one. */
  leave(transport: Transport): boolean {
    const lower = this.#offered[this.#offered.indexOf(transport) + 1];
    if (lower && this.current === transport) this.current = lower;
    return !!lower;
  }

  /** This one has delivered. */
  works(transport: Transport): void {
    if (transport === this.#offered[0]) this.#risesInVain = 0;
    keep(this.#environment.storage, this.#key, { transport, until: this.#environment.clock.now() + DAY_MS });
  }

  #remembered(): Transport | undefined {
    const kept = recall(this.#environment.storage, this.#key) as Json | null | undefined;
    const isFresh = Number(kept?.until) > this.#environment.clock.now();
    return this.#offered.find((one) => isFresh && one === kept!.transport);
  }
}
