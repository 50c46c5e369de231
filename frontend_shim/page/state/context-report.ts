/** What a model was shown of a conversation, as the server reports it. */

export const PARTS = ["system", "summary", "history", "question", "template"] as const;
export type Part = (typeof PARTS)[number];

export interface ContextReport {
  /** Ids of messages. */
  kept: string[];
  cut: string[];
  /** Counts of messages. */
  summarised: number;
  left_out: number;
  tokens: Record<Part | "total", number>;
  exact: boolean;
  budget: { total: number; history: number };
  /** What the model itself counted, once it did. */
  prompt_eval_count?: number | null;
}

/** What stands for messages that aren't shown. */
export interface Summary {
  text: string;
  /** How many messages it stands for. */
  covers: number;
  by_hand: boolean;
}

/** What would be shown now. */
export interface ConversationContext {
  model: string;
  messages: { role: string; content: string }[];
  summary: Summary | null;
  report: ContextReport;
}
