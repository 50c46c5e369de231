/** Calls over HTTP: who asks, how long they may take, and what an answer that isn't one means. */

import type { Environment } from "./environment.ts";
import { Lost, Problem } from "./errors.ts";
import { type Json, parseObject } from "./frames.ts";

/** Who we are: headers for calls, and a ticket to open a WebSocket where those can't be sent. */
export interface Credentials {
  headers?: Record<string, string>;
  ticket?: string;
}

/** Says who we are; `refused` after what it said before was not (or no longer) good. */
export type Auth = (refused: boolean) => Credentials | Promise<Credentials>;

export interface CallOptions {
  /** Sent as JSON. */
  body?: unknown;
  /** Idempotency-Key: the same call again does nothing twice. */
  key?: string;
  signal?: AbortSignal;
  /** Milliseconds the answer may take. */
  deadline?: number;
}

const CALL_DEADLINE_MS = 30_000;

export class Http {
  readonly #base: URL;
  readonly #environment: Environment;
  readonly #auth: Auth;
  #credentials: Promise<Credentials> | null = null;
  #renewal: Promise<void> | null = null;
  /** Cookies alone don't open streams here. */
  #needsTickets = false;

  constructor(base: URL, environment: Environment, auth: Auth) {
    this.#base = base;
    this.#environment = environment;
    this.#auth = auth;
  }

  /** Call and read the JSON that is answered. */
  async call<T = unknown>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    const waiting = new AbortController();
    const stop = this.#environment.clock.after(options.deadline ?? CALL_DEADLINE_MS, () => waiting.abort());
    const signal = AbortSignal.any([waiting.signal, options.signal ?? waiting.signal]);
    try {
      const response = await this.#admitted(method, path, { ...options, signal });
      return (response.status === 204 ? undefined : await response.json().catch(lose)) as T;
    } finally {
      stop();
    }
  }

  /** Open a stream of events. */
  stream(path: string, signal: AbortSignal): Promise<Response> {
    return this.#admitted("GET", path, { signal }, "text/event-stream");
  }

  address(path: string): URL {
    return new URL(`api/v1/${path}`, this.#base);
  }

  /** Where to open a WebSocket. */
  async socketAddress(): Promise<string> {
    const address = await this.ticketed("ws", {});
    address.protocol = address.protocol.replace("http", "ws");
    return address.href;
  }

  /** An address to open where neither headers nor, perhaps, cookies are sent. */
  async ticketed(path: string, target: Json): Promise<URL> {
    const address = this.address(path);
    const { headers, ticket } = await this.#known();
    // A ticket that was given is for one opening.
    if (ticket) this.#credentials = null;
    const needed = headers || this.#needsTickets;
    const used = ticket ?? (needed && (await this.call<{ ticket: string }>("POST", "tickets", { body: target })).ticket);
    if (used) address.searchParams.set("ticket", used);
    return address;
  }

  /** What we said we were wasn't good: say it anew, once for all that were refused meanwhile. */
  renew(): Promise<void> {
    return (this.#renewal ??= this.#renew().finally(() => (this.#renewal = null)));
  }

  async #renew(): Promise<void> {
    this.#needsTickets = true;
    this.#credentials = null;
    // A ticket brings the cookie that makes a page elsewhere known; two at once would make it two visitors.
    if (!(await this.#known(true)).headers) await this.#fetch("POST", "tickets", { body: {} });
  }

  /** Who we are; where that couldn't be found out, the next call asks again. */
  #known(refused = false): Promise<Credentials> {
    return (this.#credentials ??= (async () => this.#auth(refused))().catch((cause: unknown) => {
      this.#credentials = null;
      return lose(cause);
    }));
  }

  /** Once refused for not being known, say who we are anew and try once more: nothing was done the first time. */
  async #admitted(...call: [string, string, CallOptions, string?]): Promise<Response> {
    let response = await this.#fetch(...call);
    if (response.status === 401) {
      await this.renew();
      response = await this.#fetch(...call);
    }
    if (!response.ok) throw await problemOf(response);
    return response;
  }

  async #fetch(method: string, path: string, options: CallOptions, accept = "application/json"): Promise<Response> {
    const { body, key, signal } = options;
    const { headers } = await this.#known();
    const request: RequestInit = {
      method,
      credentials: "include",
      cache: "no-store",
      headers: {
        Accept: accept,
        ...headers,
        ...(key && { "Idempotency-Key": key }),
        ...(body !== undefined && { "Content-Type": "application/json" }),
      },
      body: JSON.stringify(body),
      signal: signal ?? null,
    };
    return this.#environment.fetch(this.address(path), request).catch(lose);
  }
}

export const lose = (cause: unknown): never => {
  throw new Lost(undefined, { cause });
};

/** The page of a proxy is no problem document, but its status and Retry-After count. */
async function problemOf(response: Response): Promise<Problem> {
  const facts = parseObject(await response.text().catch(() => ""));
  const retryAfter = Number(response.headers.get("Retry-After")) || facts?.retry_after;
  return new Problem({ ...facts, status: response.status, retry_after: retryAfter });
}
