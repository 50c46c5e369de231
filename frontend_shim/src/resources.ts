/** Resources as the server gives them. */

export type Status = "queued" | "running" | "completed" | "cancelled" | "failed" | "dead";

export interface Conversation {
  id: string;
  title: string | null;
  model: string | null;
  system: string | null;
  /** The message at which the current branch ends. */
  leaf: string | null;
  /** The number of its newest change: watch from there to miss nothing. */
  change: number;
  created_at: string;
  active_at: string;
}

export interface Message {
  id: string;
  conversation: string;
  parent: string | null;
  role: "user" | "assistant" | "system" | "tool";
  /** Empty until an answer has ended. */
  content: string;
  model: string | null;
  status: Status;
  /** What makes it, if it is an answer. */
  generation: string | null;
  /** The ids beside it under the same parent, its own among them. */
  versions: string[];
  /** The key its sender gave it. */
  ref: string | null;
  created_at: string;
}

export interface Generation {
  id: string;
  conversation: string | null;
  /** The answer's own message. */
  message: string | null;
  status: Status;
  reason: string | null;
  model: string;
  /** The text so far. */
  result: string;
  thinking: string | null;
  tool_calls: unknown[];
  position: number | null;
  eta_ms: number | null;
  usage: { prompt_tokens: number; completion_tokens: number } | null;
  context: Record<string, unknown> | null;
  error: { code: string; detail: string } | null;
  sha256: string | null;
  attempts: number;
  retry_of: string | null;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
}

export interface Model {
  name: string;
  family: string;
  parameter_size: string;
  quantization: string;
  context_length: number | null;
  capabilities: string[];
  loaded: boolean;
}

/** What the server takes. */
export interface Limits {
  /** Characters of a message. */
  content_characters: number;
  /** Bytes of a message over a WebSocket. */
  message_bytes: number;
  messages_per_minute: number;
  /** What may be followed over one WebSocket at once. */
  subscriptions: number;
}

export interface ModelList {
  items: Model[];
  default: string | null;
  /** No model server answers, so a simulated model does. */
  simulated: boolean;
  limits: Limits;
}

/** A page of a list; give `next_cursor` back to get the one after it. */
export interface ConversationPage {
  items: Conversation[];
  next_cursor: string | null;
}

/** A page of a branch, oldest first; give `next_before` back to get the one before it. */
export interface MessagePage {
  items: Message[];
  next_before: string | null;
  change: number;
}

/** What is told when something was accepted: it is stored, and will be answered. */
export interface Accepted {
  /** The person's message; absent where another answer was asked for. */
  message?: Message;
  generation: Generation;
}
