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
  readonly #turns = new Map<string, Turn>();

  constructor(store: Store | undefined, key: string) {
    this.#store = store;
    this.#key = key;
    for (const turn of this.#kept()) this.#turns.set(turn.ref, turn);
  }

  /** Oldest first. */
  get turns(): Turn[] {
    return [...this.#turns.values()];
  }

  /** Add it, or put it in place of what it was. */
  put(turn: Turn): void {
    this.#turns.set(turn.ref, turn);
    keep(this.#store, this.#key, this.turns);
  }

  remove(ref: string): void {
    this.#turns.delete(ref);
    keep(this.#store, this.#key, this.turns);
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
