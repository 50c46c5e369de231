/** A server that does what a test says: each time somebody begins to read, the next act of its script is played. */

import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";

import type { Transport } from "../../src/client.ts";

export const GENERATION = "gen_1";
export const CONVERSATION = "conv_1";
const LIMITS = { content_characters: 100 };

/** Somebody who reads, however they do it. */
export interface Reader {
  transport: Transport;
  /** The position that was given back. */
  after: string | null;
  frame(frame: object): void;
  /** Text as it is, where a frame should be. */
  raw(text: string): void;
  heartbeat(): void;
  /** Break the connection. */
  cut(): void;
  /** Say nothing any more; a poll isn't answered. */
  stall(): void;
  /** Nothing follows: 204, or `ended`. */
  over(): void;
  /** Refuse, by status or close code. */
  refuse(status: number, retryAfter?: number): void;
}

export type Act = (reader: Reader) => void;
type Handler = (body: any, request: IncomingMessage) => { status: number; body: object; headers?: Record<string, string> };

const CLOSE_CODES: Record<number, number> = { 401: 4401, 403: 4403, 429: 4429, 503: 1013 };

export class ScriptedServer {
  readonly readers: Reader[] = [];
  /** Method, path and key of every call that isn't a stream. */
  readonly calls: { method: string; path: string; key: string | undefined; body: any; headers: IncomingMessage["headers"] }[] = [];
  readonly sockets: WebSocket[] = [];
  /** Tickets that WebSockets were opened with. */
  readonly tickets: (string | null)[] = [];
  readonly sent: any[] = [];
  /** Played one after the other; the last one again and again. */
  script: Act[] = [];
  /** By "METHOD path": what calls get. */
  handlers: Record<string, Handler> = {};
  /** What a WebSocket does as it opens; false: nothing of what usually comes. */
  onSocket: (socket: WebSocket, request: IncomingMessage) => boolean | void = () => undefined;
  /** What `send` over a WebSocket gets; by default it is accepted. */
  onSend: ((message: any, socket: WebSocket) => object | null) | null = null;
  blockWebSockets = false;
  /** Streams of events get headers and nothing else. */
  bufferEvents = false;
  chunk = Number.POSITIVE_INFINITY;
  readonly #http: Server;
  readonly #open = new Set<Socket>();

  private constructor() {
    this.#http = createServer((request, response) => this.#answer(request, response));
    this.#http.on("connection", (socket: Socket) => {
      this.#open.add(socket);
      socket.on("close", () => this.#open.delete(socket));
    });
    const webSockets = new WebSocketServer({ noServer: true });
    this.#http.on("upgrade", (request, socket, head) => {
      if (this.blockWebSockets) return socket.destroy();
      webSockets.handleUpgrade(request, socket, head, (webSocket) => this.#greet(webSocket, request));
    });
  }

  static async start(): Promise<ScriptedServer> {
    const server = new ScriptedServer();
    await new Promise<void>((resolve) => server.#http.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}/`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  /** Calls that ended at this path. */
  called(path: string): ScriptedServer["calls"] {
    return this.calls.filter((call) => call.path === path);
  }

  // -- WebSocket ----------------------------------------------------------------------------------------------------

  #greet(socket: WebSocket, request: IncomingMessage): void {
    this.sockets.push(socket);
    this.tickets.push(new URL(request.url!, this.url).searchParams.get("ticket"));
    if (this.onSocket(socket, request) === false) return;
    const say = (frame: object): void => socket.send(JSON.stringify(frame));
    say({ type: "ready", heartbeat: 30, limits: LIMITS });
    let stalled = false;
    socket.on("message", (data) => {
      const message = JSON.parse(String(data));
      if (message.type !== "ping") this.sent.push(message);
      if (stalled) return;
      if (message.type === "ping") say({ type: "pong" });
      else if (message.type === "send") this.#accept(message, socket);
      else if (message.type !== "subscribe" && message.type !== "watch") say({ type: "ok", ref: message.ref });
      else this.#readBySocket(message, socket, () => (stalled = true));
    });
  }

  #accept(message: any, socket: WebSocket): void {
    const answer = this.onSend ? this.onSend(message, socket) : accepted(message);
    if (answer === null) return;
    socket.send(JSON.stringify({ ref: message.ref, ...answer }));
    if ("generation" in answer) this.#play(socketReader(socket, message, () => undefined));
  }

  #readBySocket(message: any, socket: WebSocket, stall: () => void): void {
    const reader = socketReader(socket, message, stall);
    let refused = false;
    reader.refuse = (status, retryAfter) => {
      refused = true;
      if (retryAfter === undefined) return socket.close(CLOSE_CODES[status] ?? status);
      socket.send(JSON.stringify({ type: "error", ref: message.ref, ...problem(status, retryAfter) }));
    };
    const held: object[] = [];
    const { frame } = reader;
    reader.frame = (one) => void held.push(one);
    let ended = false;
    reader.over = () => (ended = true);
    this.#play(reader);
    if (refused) return;
    socket.send(JSON.stringify({ type: "ok", ref: message.ref, ...(ended ? { ended } : {}) }));
    held.forEach(frame);
    reader.frame = frame;
  }

  // -- HTTP ---------------------------------------------------------------------------------------------------------

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname: path, searchParams } = new URL(request.url!, this.url);
    let text = "";
    request.on("data", (chunk) => (text += chunk));
    request.on("end", () => {
      if (path.endsWith("/events")) return this.#read(request, response, searchParams.get("after"));
      const method = request.method!;
      const body = text ? JSON.parse(text) : undefined;
      const key = request.headers["idempotency-key"] as string | undefined;
      const short = path.replace("/api/v1/", "");
      this.calls.push({ method, path: short, key, body, headers: request.headers });
      const handler = this.handlers[`${method} ${short}`] ?? HANDLERS[`${method} ${short}`];
      const answer = handler?.(body, request) ?? { status: 404, body: problem(404) };
      response.writeHead(answer.status, { "Content-Type": "application/json", ...answer.headers });
      this.#write(response, JSON.stringify(answer.body));
      response.end();
    });
  }

  #read(request: IncomingMessage, response: ServerResponse, after: string | null): void {
    const refuse = (status: number, retryAfter?: number): void => {
      const headers = { "Content-Type": "application/problem+json", ...(retryAfter && { "Retry-After": String(retryAfter) }) };
      response.writeHead(status, headers);
      response.end(JSON.stringify(problem(status)));
    };
    const cut = (): void => void request.socket.destroy();
    const common = { after, refuse, cut };
    if (request.headers.accept === "text/event-stream") this.#stream(response, common);
    else this.#poll(response, common);
  }

  #stream(response: ServerResponse, common: Pick<Reader, "after" | "refuse" | "cut">): void {
    let quiet = false;
    const begin = (): void => {
      if (response.headersSent) return;
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.flushHeaders();
      if (!this.bufferEvents) this.#write(response, 'event: hello\ndata: {"heartbeat":15}\n\n');
    };
    const write = (text: string): void => {
      begin();
      if (!quiet && !this.bufferEvents) this.#write(response, text);
    };
    this.#play({
      ...common,
      transport: "sse",
      frame: (frame: any) => write(`${frame.id ? `id: ${frame.id}\n` : ""}event: ${frame.type}\ndata: ${JSON.stringify(frame)}\n\n`),
      raw: (text) => write(`event: delta\ndata: ${text}\n\n`),
      heartbeat: () => write("event: heartbeat\ndata: {}\n\n"),
      cut: () => (begin(), setTimeout(common.cut, 1)),
      stall: () => (begin(), (quiet = true)),
      over: () => void response.writeHead(204).end(),
    });
    if (!response.writableEnded) begin();
  }

  #poll(response: ServerResponse, common: Pick<Reader, "after" | "refuse" | "cut">): void {
    const events: any[] = [];
    const texts: string[] = [];
    let answered = true;
    let ended = false;
    this.#play({
      ...common,
      transport: "longpoll",
      frame: (frame) => (events.push(frame), texts.push(JSON.stringify(frame))),
      raw: (text) => void texts.push(text),
      heartbeat: () => undefined,
      // What came before a cut is lost with it: a poll is answered whole or not at all.
      cut: () => ((answered = false), common.cut()),
      stall: () => (answered = false),
      over: () => (ended = true),
      refuse: (...how) => ((answered = false), common.refuse(...how)),
    });
    if (!answered) return;
    const last = events.filter((event) => event.id).at(-1)?.id ?? common.after ?? "0.0";
    response.writeHead(200, { "Content-Type": "application/json" });
    this.#write(response, `{"events":[${texts}],"after":"${last}","ended":${ended || events.at(-1)?.type === "end"}}`);
    response.end();
  }

  #write(response: ServerResponse, text: string): void {
    for (let i = 0; i < text.length; i += this.chunk) response.write(text.slice(i, i + this.chunk));
  }

  #play(reader: Reader): void {
    const act = this.script[Math.min(this.readers.length, this.script.length - 1)];
    this.readers.push(reader);
    act?.(reader);
  }
}

function socketReader(socket: WebSocket, message: any, stall: () => void): Reader {
  const after = message.after ?? null;
  return {
    transport: "websocket",
    after,
    frame: (frame) => socket.send(JSON.stringify(frame)),
    raw: (text) => socket.send(text),
    heartbeat: () => undefined,
    cut: () => void setTimeout(() => socket.terminate(), 1),
    stall,
    over: () => undefined,
    refuse: (status) => socket.close(CLOSE_CODES[status] ?? status),
  };
}

const HANDLERS: Record<string, Handler> = {
  "GET models": () => ({ status: 200, body: { items: [], default: null, simulated: false, limits: LIMITS } }),
  "POST tickets": () => ({ status: 201, body: { ticket: "fresh", expires_in: 30 } }),
  [`POST conversations/${CONVERSATION}/messages`]: (body) => ({ status: 202, body: accepted(body) }),
  [`POST generations/${GENERATION}/cancel`]: () => ({ status: 202, body: {} }),
};

export function problem(status: number, retryAfter?: number): Record<string, unknown> {
  return { status, code: `status_${status}`, detail: `It is ${status}.`, ...(retryAfter && { retry_after: retryAfter }) };
}

let answers = 0;

/** The answer to a message: the first generation is GENERATION, as long as only one is asked for. */
export function accepted(message: any, generation = GENERATION): { type: string; message: object; generation: any } {
  const id = `msg_${++answers}`;
  return {
    type: "accepted",
    message: { id: `${id}_q`, content: message.content, ref: message.ref ?? null },
    generation: { id: generation, message: `${id}_a`, status: "running" },
  };
}

export const started = (id = "1.1"): object => ({ type: "started", generation: GENERATION, id, model: "m", attempt: 1, source: "model", context: null });

export const delta = (id: string, text: string): object => ({ type: "delta", generation: GENERATION, id, channel: "answer", text });

export const end = (id: string, text: string, generation = GENERATION): object => ({
  type: "end",
  generation,
  id,
  reason: "completed",
  usage: null,
  sha256: createHash("sha256").update(text).digest("hex"),
  error: null,
});
