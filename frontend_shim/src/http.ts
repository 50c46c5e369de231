/** Calls over HTTP: who asks, how long they may take, and what an answer that isn't one means. */

import type { Environment } from "./environment.ts";
import { Lost, Problem } from "./errors.ts";
import { type Json, isObject, parseObject } from "./frames.ts";

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
  readonly base: URL;
  readonly #environment: Environment;
  readonly #auth: Auth;
  #credentials: Promise<Credentials> | null = null;
  /** Cookies alone don't open streams here. */
  #needsTickets = false;

  constructor(base: URL, environment: Environment, auth: Auth) {
    this.base = base;
    this.#environment = environment;
    this.#auth = auth;
  }

  /** Call and read the JSON that is answered. */
  async call<T = unknown>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    const waiting = new AbortController();
    const stop = this.#environment.clock.after(options.deadline ?? CALL_DEADLINE_MS, () => waiting.abort());
    const signal = joined(waiting.signal, options.signal);
    try {
      const response = await this.#admitted(() => this.#fetch(method, path, { ...options, signal }));
      return response.status === 204 ? (undefined as T) : await this.#json<T>(response);
    } finally {
      stop();
    }
  }

  /** Open a stream of events. */
  stream(path: string, signal: AbortSignal): Promise<Response> {
    return this.#admitted(() => this.#fetch("GET", path, { signal, accept: "text/event-stream" }));
  }

  address(path: string): URL {
    return new URL(`api/v1/${path}`, this.base);
  }

  /** Where to open a WebSocket. */
  async socketAddress(): Promise<string> {
    const address = this.address("ws");
    address.protocol = address.protocol.replace("http", "ws");
    const { headers, ticket } = await this.#known();
    // A ticket is for one opening.
    if (ticket) this.#credentials = null;
    if (ticket) address.searchParams.set("ticket", ticket);
    else if (headers || this.#needsTickets) address.searchParams.set("ticket", await this.#ticket({}));
    return address.href;
  }

  /** Where an EventSource, which sends no headers, reads. */
  async eventsAddress(path: string, target: Json): Promise<string> {
    const address = this.address(path);
    const { headers } = await this.#known();
    if (headers || this.#needsTickets) address.searchParams.set("ticket", await this.#ticket(target));
    return address.href;
  }

  /** What we said we were wasn't good: ask again. */
  async renew(): Promise<void> {
    this.#needsTickets = true;
    this.#credentials = Promise.resolve(this.#auth(true));
    await this.#credentials;
  }

  async #ticket(target: Json): Promise<string> {
    return (await this.call<{ ticket: string }>("POST", "tickets", { body: target })).ticket;
  }

  #known(): Promise<Credentials> {
    return (this.#credentials ??= Promise.resolve(this.#auth(false)));
  }

  /** Once refused for not being known, say who we are anew and try once more: nothing was done the first time. */
  async #admitted(attempt: () => Promise<Response>): Promise<Response> {
    let response = await attempt();
    if (response.status === 401) {
      await this.renew();
      const { headers } = await this.#known();
      // A ticket brings the cookie that makes a page elsewhere known.
      if (!headers) await this.#fetch("POST", "tickets", { body: {} });
      response = await attempt();
    }
    if (!response.ok) throw await problemOf(response);
    return response;
  }

  async #fetch(method: string, path: string, options: CallOptions & { accept?: string }): Promise<Response> {
    const { body, key, signal, accept } = options;
    const { headers } = await this.#known();
    try {
      return await this.#environment.fetch(this.address(path), {
        method,
        credentials: "include",
        cache: "no-store",
        signal: signal ?? null,
        headers: {
          Accept: accept ?? "application/json",
          ...headers,
          ...(key && { "Idempotency-Key": key }),
          ...(body !== undefined && { "Content-Type": "application/json" }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
    } catch (error) {
      throw new Lost("The server can't be reached.", { cause: error });
    }
  }

  async #json<T>(response: Response): Promise<T> {
    try {
      return (await response.json()) as T;
    } catch (error) {
      throw new Lost("The answer broke off or isn't the server's.", { cause: error });
    }
  }
}

export function joined(...signals: (AbortSignal | undefined)[]): AbortSignal {
  return AbortSignal.any(signals.filter((signal) => signal !== undefined));
}

/** The page of a proxy is no problem document, but its status and Retry-After count. */
async function problemOf(response: Response): Promise<Problem> {
  const told = parseObject(await response.text().catch(() => ""));
  const facts = isObject(told) ? told : {};
  const retryAfter = Number(response.headers.get("Retry-After")) || facts.retry_after;
  return new Problem({ ...facts, status: response.status, retry_after: retryAfter });
}
