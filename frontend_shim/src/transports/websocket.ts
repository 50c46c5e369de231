/** One WebSocket for everything: what is asked, and the frames of all that is followed. */

import { type Environment, newRef, type SocketLike } from "../environment.ts";
import { Lost, Problem } from "../errors.ts";
import { type Json, parseObject } from "../frames.ts";
import { type Followed, HELLO_MS, type Patience, patienceOf } from "./followed.ts";

/** Milliseconds of silence after which the other side is asked whether it is there, and for its answer. */
const QUIET_MS = 20_000;
const WORD_MS = 10_000;

const VERBS = { generation: "subscribe", conversation: "watch" } as const;
/** A message was larger than the server takes. */
const TOO_LARGE = 1009;

export interface SocketListener {
  /** It greeted us; `limits` are those of the server. */
  ready(socket: Socket, limits: Json): void;
  /** It is over, for whatever reason; 1006 where none was given. */
  closed(socket: Socket, code: number): void;
  /** The server doesn't let this be followed. */
  refused(socket: Socket, followed: Followed, error: Problem): void;
  /** Something came that isn't for anybody. */
  stray(frame: Json | null): void;
}

interface Question {
  answered: (frame: Json) => void;
  failed: (error: unknown) => void;
}

/** Where frames go: nowhere while they are of an earlier follow, or still come although nobody wants them. */
interface Place {
  followed: Followed | null;
}

export class Socket {
  readonly #listener: SocketListener;
  readonly #wire: SocketLike;
  readonly #patience: Patience;
  /** By ref: who waits for an answer. */
  readonly #asked = new Map<string, Question>();
  /** By id: whose frames come. */
  readonly #places = new Map<string, Place>();
  /** It greeted us. */
  ready = false;
  #asking = false;
  #over = false;

  constructor(environment: Environment, url: string, listener: SocketListener) {
    this.#listener = listener;
    this.#patience = patienceOf(environment.clock, () => this.#outOfPatience());
    this.#patience.grant(HELLO_MS);
    this.#wire = new environment.WebSocket!(url, "chatserver.v1");
    this.#wire.addEventListener("message", ({ data }: { data: unknown }) => this.#hear(data));
    this.#wire.addEventListener("close", ({ code }: { code: number }) => this.#closed(code));
    // A close follows; without a listener Node's package would throw.
    this.#wire.addEventListener("error", () => undefined);
  }

  /** Ask and wait for the answer. `answered` is called before any frame that follows it is looked at. */
  ask(frame: Json, answered: (answer: Json) => void = () => undefined): Promise<Json> {
    return new Promise((resolve, failed) => {
      if (this.#over) return failed(new Lost());
      const ref = (frame.ref as string | undefined) ?? newRef();
      const question: Question = {
        answered(answer) {
          answered(answer);
          resolve(answer);
        },
        failed,
      };
      this.#asked.set(ref, question);
      this.#write({ ...frame, ref });
      this.ping();
    });
  }

  follow(followed: Followed): void {
    const { kind, id, after } = followed;
    const place = this.#newPlace(id);
    this.ask({ type: VERBS[kind], [kind]: id, ...(after !== null && { after }) }, ({ ended }) => {
      if (this.#places.get(id) !== place) return;
      place.followed = followed;
      if (ended === true) followed.over();
    }).catch((error: unknown) => {
      if (error instanceof Problem && this.#places.get(id) === place) this.#listener.refused(this, followed, error);
    });
  }

  /** Frames of this come without being asked for. */
  adopt(followed: Followed): void {
    this.#newPlace(followed.id).followed = followed;
  }

  leave({ kind, id, ended }: Followed): void {
    const place = this.#newPlace(id);
    const forget = (): void => {
      if (this.#places.get(id) === place) this.#places.delete(id);
    };
    if (ended) return forget();
    this.ask({ type: `un${VERBS[kind]}`, [kind]: id }, forget).catch(forget);
  }

  #newPlace(id: string): Place {
    const place = { followed: null };
    this.#places.set(id, place);
    return place;
  }

  /** Find out whether the other side is there. */
  ping(): void {
    if (this.#asking || this.#over || !this.ready) return;
    this.#asking = true;
    this.#patience.grant(WORD_MS);
    this.#write({ type: "ping" });
  }

  close(code = 1000): void {
    this.#closed(code);
    this.#wire.close();
  }

  #write(frame: Json): void {
    try {
      this.#wire.send(JSON.stringify(frame));
    } catch {
      // It is closing: its close tells.
    }
  }

  #outOfPatience(): void {
    if (this.ready && !this.#asking) return this.ping();
    this.close(1006);
  }

  #hear(data: unknown): void {
    if (this.#over) return;
    const frame = parseObject(data);
    const greets = !this.ready && frame?.type === "ready";
    this.ready ||= greets;
    this.#asking = false;
    this.#patience.grant(this.ready ? QUIET_MS : HELLO_MS);
    if (greets) this.#listener.ready(this, (frame.limits ?? {}) as Json);
    else if (frame?.type !== "pong" && !this.#answers(frame)) this.#handOn(frame);
  }

  /** Hand an answer to who asked; false if it is none. */
  #answers(frame: Json | null): boolean {
    const ref = frame?.ref as string;
    const question = this.#asked.get(ref);
    if (!frame || !question) return false;
    this.#asked.delete(ref);
    if (frame.type === "error") question.failed(new Problem(frame));
    else question.answered(frame);
    return true;
  }

  #handOn(frame: Json | null): void {
    const id = (frame?.generation ?? frame?.conversation) as string | undefined;
    // What still comes of something that was left is no surprise.
    if (id === undefined) this.#listener.stray(frame);
    else this.#places.get(id)?.followed?.take(frame);
  }

  #closed(code: number): void {
    if (this.#over) return;
    this.#over = true;
    this.#patience.end();
    this.#places.clear();
    for (const question of this.#asked.values()) question.failed(lossBy(code));
    this.#asked.clear();
    this.#listener.closed(this, code);
  }
}

/** Sending again what was too large would close every connection. */
const lossBy = (code: number): Error => (code === TOO_LARGE ? new Problem({ status: 413, code: "too_large" }) : new Lost());
