/** What travels: the frames of an answer's log and of a conversation, and how a received one is checked. */

import type { Conversation, Generation, Message } from "./resources.ts";

/** The place in the queue; not part of the log. */
export interface QueuedFrame {
  type: "queued";
  generation: string;
  position: number;
  eta_ms: number | null;
}

/** An attempt begins. */
export interface StartedFrame {
  type: "started";
  generation: string;
  id: string;
  model: string;
  attempt: number;
  source: string;
  context: Record<string, unknown> | null;
}

/** Text to append. */
export interface DeltaFrame {
  type: "delta";
  generation: string;
  id: string;
  channel: "answer" | "thinking";
  text: string;
}

export interface ToolCallsFrame {
  type: "tool_calls";
  generation: string;
  id: string;
  calls: unknown[];
}

/** Forget everything of this answer so far; what follows is the whole. */
export interface ResetFrame {
  type: "reset";
  generation: string;
  /** Null where the client itself begins again. */
  id: string | null;
  reason: "attempt_failed" | "position_unknown" | "mismatch";
}

/** The last frame of every answer. */
export interface EndFrame {
  type: "end";
  generation: string;
  id: string;
  reason: string;
  usage: { prompt_tokens: number; completion_tokens: number } | null;
  sha256: string;
  error: { code: string; detail: string } | null;
}

export type AnswerFrame = QueuedFrame | StartedFrame | DeltaFrame | ToolCallsFrame | ResetFrame | EndFrame;

/** Something in a conversation is now as `resource` says; `id` is the change's number. */
export type ConversationFrame =
  | { type: "message"; conversation: string; id: number; resource: Message }
  | { type: "generation"; conversation: string; id: number; resource: Generation }
  | { type: "conversation"; conversation: string; id: number; resource: Conversation }
  | { type: "deleted"; conversation: string; id: number }
  /** What is known is of another time: read the conversation again. */
  | { type: "reset"; conversation: string; id: number };

/** Any JSON object. */
export type Json = Record<string, unknown>;

/** By what a frame is of and its type: the members it has to have. */
const MEMBERS: Record<"generation" | "conversation", Record<string, string[]>> = {
  generation: {
    queued: [],
    started: ["id"],
    delta: ["id", "channel", "text"],
    tool_calls: ["id", "calls"],
    reset: ["id"],
    end: ["id", "reason", "sha256"],
  },
  conversation: {
    message: ["id", "resource"],
    generation: ["id", "resource"],
    conversation: ["id", "resource"],
    deleted: ["id"],
    reset: ["id"],
  },
};

/** What is wrong with a frame: it can't be read, or it is of a kind that isn't known here. */
export type Flaw = "broken_frame" | "foreign_frame";

/** Tell what is wrong with a frame that came for this; null if nothing is. */
export function flawOf(value: unknown, kind: "generation" | "conversation", id: string): Flaw | null {
  if (!isObject(value) || typeof value.type !== "string") return "broken_frame";
  const known = MEMBERS[kind];
  if (!Object.hasOwn(known, value.type) || value[kind] !== id) return "foreign_frame";
  return known[value.type]!.every((name) => fits(name, value[name], kind)) ? null : "broken_frame";
}

/** A position of an answer is a text, a change of a conversation a number. */
function fits(name: string, value: unknown, kind: string): boolean {
  if (name === "resource") return isObject(value);
  if (name === "calls") return Array.isArray(value);
  return typeof value === (name === "id" && kind === "conversation" ? "number" : "string");
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function parseObject(text: unknown): Json | null {
  try {
    const value: unknown = JSON.parse(text as string);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
