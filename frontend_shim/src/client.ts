/**
 * The client: conversations and answers of a chat server, over whatever connection there is.
 *
 * ```js
 * const client = createClient({ url: "https://chat.example.org/" });
 * const { id } = await client.create();
 * for await (const frame of client.send(id, "Hello")) console.log(frame);
 * ```
 *
 * @packageDocumentation
 */

import { type Answer, FollowedAnswer, type ReportKind } from "./answer.ts";
import type { Connection } from "./connection.ts";
import { type Environment, newRef, type Store, surroundings } from "./environment.ts";
import { Problem } from "./errors.ts";
import type { ConversationFrame, Json } from "./frames.ts";
import { type Auth, type CallOptions, Http } from "./http.ts";
import { Link } from "./link.ts";
import { MOST_UNSENT, Outbox, type Turn } from "./outbox.ts";
import type { Accepted, Conversation, ConversationPage, Generation, MessagePage, ModelList } from "./resources.ts";
import { Choice, type Transport, TRANSPORTS } from "./transports/choice.ts";
import type { EventReader, Followed } from "./transports/followed.ts";
import { readEvents } from "./transports/sse.ts";
import { Turns } from "./turns.ts";
import { Watching } from "./watching.ts";

export type { Answer, ReportKind, Whole } from "./answer.ts";
export type { Connection, ConnectionState } from "./connection.ts";
export type { Clock, Environment, SocketLike, Store } from "./environment.ts";
export { Lost, Problem, Silent, Withdrawn } from "./errors.ts";
export type * from "./frames.ts";
export type { Auth, CallOptions, Credentials } from "./http.ts";
export type * from "./resources.ts";
export type { Transport } from "./transports/choice.ts";

export interface ClientOptions {
  /** Where the server is; in a page by default where the page is. */
  url?: string | URL;
  /** Says who asks; not needed where a cookie does. */
  auth?: Auth;
  /** Keeps messages that aren't accepted yet over reloads: `sessionStorage`, say. */
  unsent?: Store;
  /** The transports that may be used; all three by default, the best one that works is. */
  transports?: readonly Transport[];
  /** Reads events otherwise than by fetch: `byEventSource()`. */
  events?: EventReader;
  /** Parts of the world that shall be others than the browser's or Node's own. */
  environment?: Partial<Environment>;
}

export interface SendOptions {
  /** Its key, of which the server takes one message; by default a new one. */
  ref?: string;
  /** The answer this follows; null for none. By default the newest one. */
  parent?: string | null;
  model?: string;
  options?: Record<string, unknown>;
}

/** Something odd came, which was ignored or made good. */
export interface Report {
  kind: ReportKind;
  about: unknown;
}

interface ClientEvents {
  /** The connection is in another state. */
  connection: Connection;
  /** `broken_frame` and `foreign_frame` are told once each, `mismatch` each time. */
  report: Report;
  /** A message became unsent, or is so no more. */
  unsent: readonly Answer[];
}

export function createClient(options: ClientOptions = {}): Client {
  return new Client(options);
}

export class Client {
  readonly #http: Http;
  readonly #link: Link;
  readonly #turns: Turns;
  readonly #outbox: Outbox;
  readonly #answers = new Map<string, FollowedAnswer>();
  readonly #watched = new Map<string, Watching>();
  readonly #listeners: { [Name in keyof ClientEvents]?: Set<(event: ClientEvents[Name]) => void> } = {};
  readonly #reported = new Set<ReportKind>();
  #unsent: FollowedAnswer[] = [];

  /** @internal */
  constructor(options: ClientOptions) {
    const environment = surroundings(options.environment);
    const base = baseOf(options.url);
    this.#http = new Http(base, environment, options.auth ?? (() => ({})));
    const choice = new Choice(options.transports ?? TRANSPORTS, environment, base.href);
    this.#link = new Link(this.#http, environment, choice, options.events ?? readEvents, {
      changed: (connection) => this.#tell("connection", connection),
      stray: (frame) => this.#report(frame ? "foreign_frame" : "broken_frame", frame),
    });
    this.#outbox = new Outbox(options.unsent, `chatserver.unsent ${base.href}`);
    this.#turns = new Turns(this.#http, this.#link, this.#outbox, (generation) => this.follow(generation));
    for (const turn of this.#outbox.turns) this.#deliver(turn);
  }

  // -- Answers ------------------------------------------------------------------------------------------------------

  /** Send a message. It waits until the answer before it has ended, and for a connection, and arrives once. */
  send(conversation: string, content: string, options: SendOptions = {}): Answer {
    return this.#deliver({ ref: newRef(), conversation, content, ...options });
  }

  /** Read an answer from its start, wherever it was asked for. */
  follow(generation: string): Answer {
    const known = this.#answers.get(generation);
    if (known) return known;
    const answer = new FollowedAnswer(this.#host);
    answer.settle({ generation: { id: generation } as Generation });
    this.#link.follow(answer);
    return answer;
  }

  /** Another answer beside the last, or the named one. */
  regenerate(conversation: string, message?: string): Answer {
    return this.#begin(`${conversationPath(conversation)}/regenerate`, message === undefined ? {} : { message });
  }

  /** Once more what failed. */
  retry(generation: string): Answer {
    return this.#begin(`${generationPath(generation)}/retry`, {});
  }

  /** Have an answer stopped; it ends with `cancelled`. */
  async cancel(generation: string): Promise<void> {
    await this.#turns.persist(async () => {
      const { socket } = this.#link;
      if (socket) await socket.ask({ type: "cancel", generation });
      else await this.call("POST", `${generationPath(generation)}/cancel`, { body: {} });
    });
  }

  /** Messages that aren't accepted yet, oldest first; those from before a reload too. */
  get unsent(): readonly Answer[] {
    return this.#unsent;
  }

  // -- Conversations ------------------------------------------------------------------------------------------------

  /** Last active first; `q` searches in titles and text. */
  conversations(query: { limit?: number; cursor?: string; q?: string } = {}): Promise<ConversationPage> {
    return this.call("GET", `conversations${queryOf(query)}`);
  }

  conversation(id: string): Promise<Conversation> {
    return this.call("GET", conversationPath(id));
  }

  /** Begin a conversation. Under the same key, of those not older than a day, it is the same one. */
  create(body: { title?: string; model?: string; system?: string } = {}, key = newRef()): Promise<Conversation> {
    return this.#turns.persist(() => this.call("POST", "conversations", { body, key }));
  }

  update(id: string, body: { title?: string | null; model?: string | null; system?: string | null; leaf?: string }) {
    return this.call<Conversation>("PATCH", conversationPath(id), { body });
  }

  rename(id: string, title: string): Promise<Conversation> {
    return this.update(id, { title });
  }

  /** Delete a conversation and all that hangs on it. */
  async delete(id: string): Promise<void> {
    await this.call("DELETE", conversationPath(id));
  }

  /** Where the whole of a conversation can be downloaded. */
  exportLink(id: string, format: "markdown" | "json" = "markdown"): string {
    return this.#http.address(`${conversationPath(id)}/export?format=${format}`).href;
  }

  /** A page of the branch that ends at `leaf`, by default at the current one; newest page first. */
  messages(id: string, query: { limit?: number; before?: string; leaf?: string } = {}): Promise<MessagePage> {
    return this.call("GET", `${conversationPath(id)}/messages${queryOf(query)}`);
  }

  /** What the model would see of it now. */
  context(id: string): Promise<Json> {
    return this.call("GET", `${conversationPath(id)}/context`);
  }

  /**
   * What changes in a conversation, whoever changes it: state, not history. `after` is the change number that came
   * with what is known already; by default it begins now.
   */
  watch(conversation: string, after?: number): AsyncIterable<ConversationFrame> {
    let watching = this.#watched.get(conversation);
    if (!watching) this.#watched.set(conversation, (watching = new Watching(this.#host, conversation, after ?? null)));
    // Who has seen less than the others gets what they have seen once more: it is state, so that does no harm.
    else if (after === undefined || after >= (watching.after ?? Infinity)) return watching.listen();
    else watching.after = after;
    this.#link.follow(watching);
    return watching.listen();
  }

  models(): Promise<ModelList> {
    return this.call("GET", "models");
  }

  generation(id: string): Promise<Generation> {
    return this.call("GET", generationPath(id));
  }

  /** Any call of the server's: `call("PUT", "conversations/…/summary", { body })`. */
  call<T>(method: string, path: string, options?: CallOptions): Promise<T> {
    return this.#http.call<T>(method, path, options);
  }

  // -- The connection -----------------------------------------------------------------------------------------------

  get connection(): Connection {
    return this.#link.connection;
  }

  /** What the server takes, as it told when a WebSocket was opened; null before. */
  get limits(): Json | null {
    return this.#link.limits;
  }

  /** Connect without waiting for something to follow; also again, after the server has sent us away. */
  connect(): void {
    this.#link.start();
  }

  /** Let go of everything. Answers go on being made, and messages that aren't accepted stay in their store. */
  close(): void {
    this.#link.close();
  }

  /** Be told; what is given back ends it. */
  on<Name extends keyof ClientEvents>(name: Name, listener: (event: ClientEvents[Name]) => void): () => void {
    const listeners = (this.#listeners[name] ??= new Set() as never);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  // -- Within -------------------------------------------------------------------------------------------------------

  readonly #host = {
    accepted: (answer: FollowedAnswer): unknown => this.#answers.set(answer.id, answer),
    follow: (followed: Followed): void => this.#link.follow(followed),
    leave: (followed: Followed): void => this.#leave(followed),
    cancel: (answer: FollowedAnswer): Promise<void> => this.#cancel(answer),
    report: (kind: ReportKind, about: unknown): void => this.#report(kind, about),
  };

  #deliver(turn: Turn): Answer {
    const answer = new FollowedAnswer(this.#host, turn.ref, turn);
    if (this.#unsent.length >= MOST_UNSENT) {
      answer.fail(new Problem({ code: "too_many_unsent" }));
      return answer;
    }
    this.#unsent = this.#unsent.concat(answer);
    this.#tell("unsent", this.#unsent);
    const sent = (): void => {
      this.#unsent = this.#unsent.filter((one) => one !== answer);
      this.#tell("unsent", this.#unsent);
    };
    answer.accepted.then(sent, sent);
    this.#turns.deliver(turn, answer);
    return answer;
  }

  #begin(path: string, body: Json): Answer {
    const key = newRef();
    const answer = new FollowedAnswer(this.#host, key);
    this.#turns.persist<Accepted>(() => this.#turns.start(path, body, key, answer)).catch((error: unknown) => answer.fail(error));
    return answer;
  }

  #leave(followed: Followed): void {
    this.#link.leave(followed);
    const map: Map<string, unknown> = followed.kind === "generation" ? this.#answers : this.#watched;
    if (map.get(followed.id) === followed) map.delete(followed.id);
  }

  async #cancel(answer: FollowedAnswer): Promise<void> {
    if (!answer.generation && answer.turn && this.#turns.withdraw(answer)) return;
    await this.cancel((await answer.accepted).generation.id);
  }

  #report(kind: ReportKind, about: unknown): void {
    if (kind !== "mismatch" && this.#reported.has(kind)) return;
    this.#reported.add(kind);
    this.#tell("report", { kind, about });
  }

  #tell<Name extends keyof ClientEvents>(name: Name, event: ClientEvents[Name]): void {
    // What a listener does wrong is its own affair.
    for (const listener of this.#listeners[name] ?? []) queueMicrotask(() => listener(event));
  }
}

/** An address without its last slash is a folder all the same. */
function baseOf(url: string | URL | undefined): URL {
  return new URL(url === undefined ? "." : String(url).replace(/\/?$/, "/"), globalThis.document?.baseURI);
}

const conversationPath = (id: string): string => `conversations/${encodeURIComponent(id)}`;
const generationPath = (id: string): string => `generations/${encodeURIComponent(id)}`;

/** Members that aren't given don't survive being JSON. */
const queryOf = (members: Record<string, string | number | undefined>): string =>
  `?${new URLSearchParams(JSON.parse(JSON.stringify(members)) as Record<string, string>)}`;
