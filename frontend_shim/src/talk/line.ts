/** One message as it is shown. */

import type { Answer, Message, Whole } from "../client.ts";

/**
 * - `sending`: not accepted yet
 * - `queued`, `running`: its answer is waited for, or arrives
 * - `completed`, `length`, `cancelled`, `failed`: as it ended; a message that was refused has failed too
 */
export type LineState = "sending" | "queued" | "running" | "completed" | "length" | "cancelled" | "failed";

export interface Fault {
  code: string;
  detail: string;
}

interface Shown {
  id: string | null;
  text: string;
  thinking: string;
  state: LineState;
  /** Its place in the queue. */
  place: number | null;
  error: Fault | null;
}

export class Line implements Readonly<Shown> {
  readonly role: "user" | "assistant";
  /** The key of a message that was sent from here. */
  ref: string | null;
  id: string | null = null;
  text = "";
  thinking = "";
  state: LineState = "sending";
  place: number | null = null;
  error: Fault | null = null;
  /** The generation of an answer. */
  generation: string | null = null;
  /** What can be cancelled: a message on its way, or an answer being made. */
  answer: Answer | null = null;
  /** Grows with each change, so that only those are painted. */
  version = 0;

  constructor(role: Line["role"], ref: string | null = null) {
    this.role = role;
    this.ref = ref;
  }

  set(shown: Partial<Shown>): void {
    Object.assign(this, shown);
    this.version++;
  }

  /** Take over what the server has, unless it is being read just now. */
  know(message: Message): void {
    this.generation = message.generation;
    if (this.answer && this.role === "assistant") return;
    const state = stateOf(message.status);
    if (this.id === message.id && this.text === message.content && this.state === state) return;
    this.set({ id: message.id, text: message.content, state });
  }

  end(whole: Whole): void {
    const { text, thinking, error } = whole;
    this.set({ text, thinking, error, place: null, state: stateOf(whole.reason) });
  }
}

const STATES: readonly string[] = ["queued", "running", "completed", "length", "cancelled"] satisfies LineState[];

/** The state that a status or the reason of an end means; all other ends are failures. */
const stateOf = (word: string): LineState => (STATES.includes(word) ? (word as LineState) : "failed");
