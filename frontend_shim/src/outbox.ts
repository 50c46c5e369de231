/** Messages that the server hasn't accepted yet, kept over reloads where a store is given. */

import { keep, recall, type Store } from "./environment.ts";
import { isObject } from "./frames.ts";

/** A message on its way; under its ref it can be sent any number of times and arrives once. */
export interface Turn {
  ref: string;
  conversation: string;
  content: string;
  parent?: string | null;
  model?: string;
  options?: Record<string, unknown>;
}

/** More than anybody types without a connection. */
export const MOST_UNSENT = 100;

export class Outbox {
  readonly #store: Store | undefined;
  readonly #key: string;
  #turns: Turn[];

  constructor(store: Store | undefined, key: string) {
    this.#store = store;
    this.#key = key;
    this.#turns = this.#kept();
  }

  get turns(): readonly Turn[] {
    return this.#turns;
  }

  /** Add it, or put it in place of what it was. */
  put(turn: Turn): void {
    const known = this.#turns.some(({ ref }) => ref === turn.ref);
    this.#turns = known ? this.#turns.map((one) => (one.ref === turn.ref ? turn : one)) : [...this.#turns, turn];
    this.#keep();
  }

  remove(ref: string): void {
    this.#turns = this.#turns.filter((turn) => turn.ref !== ref);
    this.#keep();
  }

  #keep(): void {
    keep(this.#store, this.#key, this.#turns);
  }

  /** What is in a store may have been written by anybody. */
  #kept(): Turn[] {
    const kept = recall(this.#store, this.#key);
    return Array.isArray(kept) ? kept.filter(isTurn).slice(0, MOST_UNSENT) : [];
  }
}

function isTurn(value: unknown): value is Turn {
  return isObject(value) && ["ref", "conversation", "content"].every((name) => typeof value[name] === "string");
}
