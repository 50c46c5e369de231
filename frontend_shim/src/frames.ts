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
  sha256: string | null;
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

const isText = (value: unknown): value is string => typeof value === "string";

/** Whether the members of a frame of this type are as they have to be. */
const ANSWER_FRAMES: Record<string, (frame: Json) => boolean> = {
  queued: ({ position }) => typeof position === "number",
  started: ({ id }) => isText(id),
  delta: ({ id, channel, text }) => isText(id) && isText(text) && (channel === "answer" || channel === "thinking"),
  tool_calls: ({ id, calls }) => isText(id) && Array.isArray(calls),
  reset: ({ id }) => isText(id),
  end: ({ id, reason }) => isText(id) && isText(reason),
};

const CONVERSATION_FRAMES = ["message", "generation", "conversation", "deleted", "reset"];

export function parseObject(text: unknown): Json | null {
  try {
    const value: unknown = JSON.parse(text as string);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What is wrong with a frame: it can't be read, or it is of a kind that isn't known here. */
export type Flaw = "broken_frame" | "foreign_frame";

/** Check a frame of an answer. */
export function answerFrame(value: unknown, generation: string): AnswerFrame | Flaw {
  if (!isObject(value) || !isText(value.type)) return "broken_frame";
  const fits = Object.hasOwn(ANSWER_FRAMES, value.type) && ANSWER_FRAMES[value.type];
  if (!fits || value.generation !== generation) return "foreign_frame";
  return fits(value) ? (value as unknown as AnswerFrame) : "broken_frame";
}

/** Check a frame of a conversation. */
export function conversationFrame(value: unknown, conversation: string): ConversationFrame | Flaw {
  if (!isObject(value) || !isText(value.type)) return "broken_frame";
  if (!CONVERSATION_FRAMES.includes(value.type) || value.conversation !== conversation) return "foreign_frame";
  const bare = value.type === "deleted" || value.type === "reset";
  const fits = typeof value.id === "number" && (bare || isObject(value.resource));
  return fits ? (value as unknown as ConversationFrame) : "broken_frame";
}
