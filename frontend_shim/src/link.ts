/** The connection: whatever is followed goes on being followed, by the best transport there is at the moment. */

import { backoff } from "./backoff.ts";
import type { Connection, ConnectionState } from "./connection.ts";
import type { Environment } from "./environment.ts";
import { isPassing, Lost, Problem, Silent } from "./errors.ts";
import type { Json } from "./frames.ts";
import type { Http } from "./http.ts";
import type { Choice, Transport } from "./transports/choice.ts";
import type { EventReader, Followed } from "./transports/followed.ts";
import { poll } from "./transports/longpoll.ts";
import { Socket, type SocketListener } from "./transports/websocket.ts";

export interface LinkListener {
  changed(connection: Connection): void;
  stray(frame: Json | null): void;
}

/** A connection that lived this long has worked; one that didn't counts as a failure. In milliseconds. */
const WORKED_MS = 5_000;
/** Seconds to keep away from a server that is full or was flooded. */
const LATER_S = 5;
/** Milliseconds between two polls: ten looks a second read as smoothly as a look a token. */
const REST_MS = 100;

export class Link implements SocketListener {
  /** What the server takes, once it has said so. */
  limits: Json | null = null;
  connection: Connection;
  readonly #http: Http;
  readonly #environment: Environment;
  readonly #choice: Choice;
  readonly #readEvents: EventReader;
  readonly #listener: LinkListener;
  /** All that is followed; with what ends its reading over HTTP. */
  readonly #followed = new Map<Followed, AbortController | null>();
  /** What ends the pauses of all that wait, and whether hope may. */
  readonly #pauses = new Map<() => void, boolean>();
  #socket: Socket | null = null;
  /** A WebSocket beside a transport that works, to see whether it would. */
  #trial: Socket | null = null;
  readonly #closing = new AbortController();
  /** Replaced with each attempt, so that what an older one had begun is known to be late. */
  #attempt: object = {};
  /** What is followed is read over HTTP. */
  #reading = false;
  #failures = 0;
  /** WebSockets in a row that didn't open although the server answers. */
  #misses = 0;
  #liveSince = 0;
  #socketWorked = false;
  #reproved = false;
  /** Ends the wait for the next look at a better transport. */
  #cancelRise: (() => void) | null = null;

  constructor(http: Http, environment: Environment, choice: Choice, readEvents: EventReader, listener: LinkListener) {
    this.#http = http;
    this.#environment = environment;
    this.#choice = choice;
    this.#readEvents = readEvents;
    this.#listener = listener;
    this.connection = { state: "idle", transport: choice.current, until: null, error: null };
  }

  /** The WebSocket, while there is one to send over. */
  get socket(): Socket | null {
    return this.#socket?.ready ? this.#socket : null;
  }

  /** Connect, unless that was done; also after the server has sent us away. */
  start(): void {
    const { state } = this.connection;
    if (state !== "idle" && state !== "stopped") return;
    if (state === "idle") this.#listen();
    this.#reproved = false;
    this.#connect();
  }

  close(): void {
    this.#closing.abort();
    this.#stop(new Lost(), "closed");
  }

  follow(followed: Followed): void {
    const { state, error } = this.connection;
    if (state === "closed" || state === "stopped") return void followed.refused(error);
    this.#followed.get(followed)?.abort();
    this.#followed.set(followed, null);
    if (this.socket) this.socket.follow(followed);
    else if (this.#reading) void this.#read(followed);
    else this.start();
  }

  /** Its frames come over the WebSocket already. */
  adopt(followed: Followed): void {
    this.#followed.set(followed, null);
    this.socket?.adopt(followed);
  }

  leave(followed: Followed): void {
    this.#followed.get(followed)?.abort();
    if (this.#followed.delete(followed)) this.socket?.leave(followed);
  }

  /** The network may be back, or gone: find out now. */
  wake(): void {
    for (const [end, mayEnd] of this.#pauses) if (mayEnd) end();
    const { state } = this.connection;
    // A stream of the network before would be silent for long before it counts as dead.
    if (state === "paused" || (state === "live" && this.#reading)) this.#overHttp();
    this.#socket?.ping();
  }

  /** Wait before another try: as long as the server asks, or until there is reason to hope. */
  pause(failures: number, error?: unknown, told: (ms: number) => void = () => undefined): Promise<void> {
    const retryAfter = error instanceof Problem ? error.retryAfter : 0;
    const ms = backoff(failures, this.#environment.random, retryAfter);
    told(ms);
    return this.#wait(ms, retryAfter === 0);
  }

  // -- What a WebSocket tells ---------------------------------------------------------------------------------------

  ready(socket: Socket, limits: Json): void {
    if (socket === this.#trial) this.#rise(socket);
    this.limits = limits;
    this.#misses = 0;
    this.#socketWorked = true;
    this.#works("websocket");
    for (const followed of this.#followed.keys()) socket.follow(followed);
  }

  closed(socket: Socket, code: number): void {
    if (socket === this.#trial) return this.#roseInVain();
    if (socket !== this.#socket) return;
    this.#socket = null;
    if (socket.ready && this.#environment.clock.now() - this.#liveSince >= WORKED_MS) {
      this.#failures = 0;
      this.#reproved = false;
    }
    switch (code) {
      case 4403: // Forbidden.
        return this.#stop(new Problem({ status: 403 }));
      case 4401: // Unknown.
        return void this.#reprove();
      case 1013: // Full.
      case 4429: // Flooded.
        return void this.#again(new Problem({ status: 503, retry_after: LATER_S }));
      case 1001: // Going away.
      case 1012: // Restarting: another instance may be there at once.
        if (socket.ready && this.#failures++ === 0) return this.#connect();
    }
    void (socket.ready ? this.#again() : this.#doubt());
  }

  refused(socket: Socket, followed: Followed, error: Problem): void {
    void this.#endures(followed, error, 0).then((goesOn) => {
      if (goesOn && socket === this.#socket && this.#followed.has(followed)) socket.follow(followed);
    });
  }

  stray(frame: Json | null): void {
    this.#listener.stray(frame);
  }

  // -- Connecting ---------------------------------------------------------------------------------------------------

  #connect(): void {
    this.#enter("connecting");
    if (this.#choice.current === "websocket") void this.#open();
    else this.#overHttp();
  }

  async #open(): Promise<void> {
    const attempt = (this.#attempt = {});
    try {
      const address = await this.#http.socketAddress();
      if (attempt === this.#attempt) this.#socket = new Socket(this.#environment, address, this);
    } catch (error) {
      if (attempt === this.#attempt) void this.#unreachable(error);
    }
  }

  /** The WebSocket didn't open: is it only the WebSocket? */
  async #doubt(): Promise<void> {
    if (!(await this.#isThere())) return;
    // One that has worked before may have been caught in a restart.
    const enough = ++this.#misses >= (this.#socketWorked ? 2 : 1);
    if (enough && this.#choice.leave("websocket")) this.#overHttp();
    else void this.#again();
  }

  /** Whether the server answers an ordinary call; if not, that is seen to. */
  async #isThere(): Promise<boolean> {
    const attempt = (this.#attempt = {});
    const error = await this.#http.call("GET", "models").then(() => null, (reason: unknown) => reason);
    if (attempt !== this.#attempt) return false;
    if (error) void this.#unreachable(error);
    return !error;
  }

  async #unreachable(error: unknown): Promise<void> {
    if (error instanceof Problem && !isPassing(error)) this.#stop(error);
    else await this.#again(error);
  }

  async #again(error?: unknown): Promise<void> {
    const attempt = (this.#attempt = {});
    await this.pause(this.#failures++, error, this.#waiting);
    if (attempt === this.#attempt) this.#connect();
  }

  /** A ticket was old, perhaps; one fresh ticket is worth a try. */
  async #reprove(): Promise<void> {
    const attempt = (this.#attempt = {});
    if (this.#reproved) return this.#stop(new Problem({ status: 401 }));
    this.#reproved = true;
    const error: unknown = await this.#http.renew().catch((reason: unknown) => reason);
    if (attempt !== this.#attempt) return;
    if (error) void this.#unreachable(error);
    else this.#connect();
  }

  #stop(error: unknown, state: ConnectionState = "stopped"): void {
    this.#disconnect();
    this.#enter(state, null, error);
    for (const followed of this.#followed.keys()) followed.refused(error);
    this.#followed.clear();
  }

  #disconnect(): void {
    this.#attempt = {};
    this.#stopReading();
    this.#giveRiseUp();
    for (const end of this.#pauses.keys()) end();
    const sockets = [this.#socket, this.#trial];
    this.#socket = this.#trial = null;
    for (const socket of sockets) socket?.close();
  }

  // -- Reading over HTTP --------------------------------------------------------------------------------------------

  #overHttp(): void {
    if (this.#environment.document?.hidden) return this.#enter("paused");
    this.#reading = true;
    if (this.connection.state === "paused") this.#enter("connecting");
    for (const followed of this.#followed.keys()) void this.#read(followed);
    // With nothing to follow only a call tells whether the server is there.
    if (this.#followed.size === 0) void this.#isThere().then((there) => there && this.#works(this.#choice.current));
  }

  #stopReading(): void {
    this.#reading = false;
    for (const reading of this.#followed.values()) reading?.abort();
  }

  async #read(followed: Followed): Promise<void> {
    this.#followed.get(followed)?.abort();
    const reading = new AbortController();
    this.#followed.set(followed, reading);
    let failures = 0;
    while (!reading.signal.aborted && !followed.ended) {
      const transport = this.#choice.current;
      let silent = true;
      const heard = (): void => {
        if (silent) this.#works(transport);
        silent = false;
        failures = 0;
      };
      try {
        await this.#readBy(transport, followed, heard, reading.signal);
      } catch (error) {
        if (reading.signal.aborted) return;
        // What is held back on its way comes by another.
        if (error instanceof Silent && this.#choice.leave(transport)) continue;
        if (!(await this.#endures(followed, error, failures++))) return;
      }
    }
  }

  async #readBy(transport: Transport, followed: Followed, heard: () => void, signal: AbortSignal): Promise<void> {
    if (transport === "longpoll") {
      await poll(followed, this.#http, heard, signal);
      if (!followed.ended && !signal.aborted) await this.#wait(REST_MS);
    } else {
      await this.#readEvents(followed, this.#http, this.#environment, heard, signal);
    }
  }

  /** Wait if that may help; false if this can't be followed. */
  async #endures(followed: Followed, error: unknown, failures: number): Promise<boolean> {
    if (isPassing(error)) {
      await this.pause(failures, error, this.#reading ? this.#waiting : undefined);
      return true;
    }
    if (error instanceof Problem && (error.status === 401 || error.code === "foreign_origin")) this.#stop(error);
    else if (followed.refused(error)) return true;
    this.#followed.delete(followed);
    return false;
  }

  // -- Something better ---------------------------------------------------------------------------------------------

  #planRise(): void {
    if (this.#cancelRise || this.#choice.better.length === 0) return;
    this.#cancelRise = this.#environment.clock.after(this.#choice.risesIn, () => {
      this.#cancelRise = null;
      if (this.#choice.better.includes("websocket")) this.#tryWebSocket().catch(() => this.#roseInVain());
      else this.#roseInVain();
    });
  }

  #giveRiseUp(): void {
    this.#cancelRise?.();
    this.#cancelRise = null;
  }

  async #tryWebSocket(): Promise<void> {
    const address = await this.#http.socketAddress();
    if (this.#reading) this.#trial = new Socket(this.#environment, address, this);
  }

  #rise(socket: Socket): void {
    this.#trial = null;
    this.#giveRiseUp();
    this.#stopReading();
    this.#attempt = {};
    this.#choice.current = "websocket";
    this.#socket = socket;
  }

  /** Then events, for whoever polls: the next poll becomes a stream, which is left again if it stays silent. */
  #roseInVain(): void {
    this.#trial = null;
    this.#choice.roseInVain();
    if (this.#choice.better.includes("sse")) this.#choice.current = "sse";
    this.#planRise();
  }

  // -- State --------------------------------------------------------------------------------------------------------

  #works(transport: Transport): void {
    this.#choice.works(transport);
    this.#liveSince = this.#environment.clock.now();
    this.#planRise();
    this.#enter("live");
  }

  #enter(state: ConnectionState, until: number | null = null, error: unknown = null): void {
    const { connection } = this;
    const transport = this.#choice.current;
    if (connection.state === state && connection.transport === transport && connection.until === until) return;
    this.connection = { state, transport, until, error };
    this.#listener.changed(this.connection);
  }

  readonly #waiting = (ms: number): void => this.#enter("waiting", this.#environment.clock.now() + ms);

  #wait(ms: number, mayEnd = false): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        stop();
        this.#pauses.delete(end);
        resolve();
      };
      const stop = this.#environment.clock.after(ms, end);
      this.#pauses.set(end, mayEnd);
    });
  }

  #listen(): void {
    const { document, network } = this.#environment;
    const { signal } = this.#closing;
    document?.addEventListener("visibilitychange", () => this.#seen(), { signal });
    network?.addEventListener("online", () => this.wake(), { signal });
  }

  /** Browsers allow six connections to a host: a page that nobody sees leaves them to others. */
  #seen(): void {
    if (!this.#environment.document?.hidden) return this.wake();
    if (!this.#reading) return;
    this.#stopReading();
    this.#giveRiseUp();
    this.#enter("paused");
  }
}
