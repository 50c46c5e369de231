/** A clock that tests move, and other small pieces of a world without waiting. */

import type { Clock, Store } from "../../src/environment.ts";

/** Shorter pauses are only politeness between two polls: they pass by themselves. */
const POLITE_MS = 100;

export class HandClock implements Clock {
  #now = Date.UTC(2026, 0, 1);
  #timers = new Map<object, { at: number; act: () => void }>();

  now(): number {
    return this.#now;
  }

  after(ms: number, act: () => void): () => void {
    const timer = {};
    this.#timers.set(timer, { at: this.#now + ms, act });
    if (ms <= POLITE_MS) setImmediate(() => this.#fire(timer));
    return () => void this.#timers.delete(timer);
  }

  /** Milliseconds from now of all that waits, soonest first. */
  get waiting(): number[] {
    return [...this.#timers.values()].map(({ at }) => at - this.#now).sort((one, other) => one - other);
  }

  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= until);
      const [next] = due.sort(([, one], [, other]) => one.at - other.at);
      if (!next) break;
      this.#now = Math.max(this.#now, next[1].at);
      this.#fire(next[0]);
    }
    this.#now = until;
  }

  #fire(timer: object): void {
    const due = this.#timers.get(timer);
    this.#timers.delete(timer);
    due?.act();
  }
}

export class MemoryStore implements Store {
  readonly kept = new Map<string, string>();
  getItem = (key: string): string | null => this.kept.get(key) ?? null;
  setItem = (key: string, value: string): void => void this.kept.set(key, value);
  removeItem = (key: string): void => void this.kept.delete(key);
}

/** A page whose visibility tests change. */
export class Tab extends EventTarget {
  hidden = false;

  hide(hidden: boolean): void {
    this.hidden = hidden;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}

/** Wait for something that real sockets bring about. */
export async function until(holds: () => unknown, what = holds.toString()): Promise<void> {
  const deadline = Date.now() + 4_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Let everything happen that is on its way over real sockets. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 1));
}
