/** What the client uses of the world around it; all of it can be replaced. */

import { hex } from "./hash.ts";

/** Where small things are kept, as localStorage and sessionStorage do it. */
export interface Store {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Act once after so many milliseconds, unless what is given back is called before. */
  after(ms: number, act: () => void): () => void;
}

/** What is needed of a WebSocket: the browser's own, or one of Node's package `ws`. */
export interface SocketLike {
  addEventListener(type: string, listener: (event: any) => void): void;
  send(text: string): void;
  close(code?: number): void;
}

export interface Environment {
  fetch: typeof fetch;
  WebSocket: (new (url: string, protocol: string) => SocketLike) | undefined;
  /** Remembers which transport worked. */
  storage: Store | undefined;
  clock: Clock;
  /** A number from 0 up to 1. */
  random: () => number;
  /** Tells whether anybody can see the page. */
  document: (EventTarget & { readonly hidden: boolean }) | undefined;
  /** Tells when the network is back: `online`. */
  network: EventTarget | undefined;
}

const systemClock: Clock = {
  now: Date.now,
  after(ms, act) {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
};

/** A browser may refuse storage by throwing as soon as it is named. */
function localStore(): Store | undefined {
  try {
    return globalThis.document && globalThis.localStorage;
  } catch {
    return undefined;
  }
}

export function surroundings(given: Partial<Environment> = {}): Environment {
  return {
    fetch: (...call) => fetch(...call),
    WebSocket: globalThis.WebSocket,
    storage: localStore(),
    clock: systemClock,
    random: Math.random,
    document: globalThis.document,
    network: globalThis.window,
    ...given,
  };
}

/** Read what was kept, if there is anything; storage may be refused, or not be there. */
export function recall(store: Store | undefined, key: string): unknown {
  try {
    return JSON.parse(store!.getItem(key)!);
  } catch {
    return undefined;
  }
}

/** Keep something, where storage isn't refused. */
export function keep(store: Store | undefined, key: string, value: unknown): void {
  try {
    store?.setItem(key, JSON.stringify(value));
  } catch {
    // Then it is forgotten with the page.
  }
}

/** A key that nobody else has; crypto.randomUUID is missing where a page isn't served securely. */
export const newRef = (): string => hex(crypto.getRandomValues(new Uint8Array(16)));
