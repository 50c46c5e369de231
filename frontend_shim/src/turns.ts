/** Sending: in order, each message when the answer before it in its conversation has ended, each once. */

import type { Answer, FollowedAnswer } from "./answer.ts";
import { isPassing, Lost, Problem, Withdrawn } from "./errors.ts";
import type { Json } from "./frames.ts";
import type { Http } from "./http.ts";
import type { Link } from "./link.ts";
import type { Outbox, Turn } from "./outbox.ts";
import type { Accepted } from "./resources.ts";

/** The newest message of a conversation that was sent from here. */
interface Place {
  over: Promise<void>;
  /** The answer's message: parent of the next one. */
  leaf: string | null;
}

export class Turns {
  readonly #http: Http;
  readonly #link: Link;
  readonly #outbox: Outbox;
  readonly #follow: (generation: string) => Answer;
  readonly #places = new Map<string, Place>();
  /** Those that the server may know of. */
  readonly #tried = new WeakSet<FollowedAnswer>();

  constructor(http: Http, link: Link, outbox: Outbox, follow: (generation: string) => Answer) {
    this.#http = http;
    this.#link = link;
    this.#outbox = outbox;
    this.#follow = follow;
  }

  deliver(turn: Turn, answer: FollowedAnswer): void {
    this.#outbox.put(turn);
    const before = this.#places.get(turn.conversation);
    const place: Place = { over: Promise.resolve(), leaf: null };
    place.over = this.#deliver(turn, answer, before, place).finally(() => {
      if (this.#places.get(turn.conversation) === place) this.#places.delete(turn.conversation);
    });
    this.#places.set(turn.conversation, place);
  }

  /** Take a message back; false if it is too late for that. */
  withdraw(answer: FollowedAnswer): boolean {
    if (this.#tried.has(answer)) return false;
    this.#outbox.remove(answer.ref!);
    answer.fail(new Withdrawn());
    return true;
  }

  /** Try until the server answers, whatever it says then. */
  async persist<T>(attempt: () => Promise<T>): Promise<T> {
    for (let failures = 0; this.#link.connection.state !== "closed"; failures++) {
      try {
        return await attempt();
      } catch (error) {
        if (!isPassing(error)) throw error;
        await this.#link.pause(failures, error);
      }
    }
    throw new Lost();
  }

  async #deliver(turn: Turn, answer: FollowedAnswer, before: Place | undefined, place: Place): Promise<void> {
    await before?.over;
    place.leaf = before?.leaf ?? null;
    if (answer.ended) return;
    this.#tried.add(answer);
    if (turn.parent === undefined && place.leaf !== null) turn = { ...turn, parent: place.leaf };
    this.#outbox.put(turn);
    try {
      const accepted = await this.#inTurn(() => this.#send(turn, answer));
      place.leaf = accepted.generation.message;
    } catch (error) {
      if (!isPassing(error)) this.#outbox.remove(turn.ref);
      return answer.fail(error);
    }
    this.#outbox.remove(turn.ref);
    await answer.whole.catch(() => undefined);
  }

  /** An answer that this one has to wait for may have been asked for elsewhere. */
  async #inTurn(send: () => Promise<Accepted>): Promise<Accepted> {
    for (let failures = 0; ; failures++) {
      try {
        return await this.persist(send);
      } catch (error) {
        if (!(error instanceof Problem) || error.code !== "turn_in_progress") throw error;
        await this.#follow(String(error.facts.generation)).whole.catch(() => undefined);
        if (failures > 0) await this.#link.pause(failures);
      }
    }
  }

  async #send(turn: Turn, answer: FollowedAnswer): Promise<Accepted> {
    const { ref, conversation, ...body } = turn;
    const { socket } = this.#link;
    if (socket) {
      const accepted = await socket.ask({ type: "send", ...turn }, (told) => {
        answer.settle(told as unknown as Accepted);
        if (!answer.ended) this.#link.adopt(answer);
      });
      return accepted as unknown as Accepted;
    }
    const path = `conversations/${encodeURIComponent(conversation)}/messages`;
    return this.start(path, body, ref, answer);
  }

  /** Ask for an answer over HTTP, and follow it. */
  async start(path: string, body: Json, key: string, answer: FollowedAnswer): Promise<Accepted> {
    const accepted = await this.#http.call<Accepted>("POST", path, { body, key });
    answer.settle(accepted);
    if (!answer.ended) this.#link.follow(answer);
    return accepted;
  }
}
