/** The first message of a new chat, kept until the chat exists: a reload in between doesn't lose or double it. */

import { newRef } from "../../src/environment.ts";
import { isObject } from "../../src/frames.ts";
import { keep, recall, tab } from "../browser/storage.ts";

const NAME = "beginning";

export interface Beginning {
  /** Under which the conversation is made. */
  key: string;
  /** Under which the message is sent. */
  ref: string;
  content: string;
  model: string | null;
}

export function keepBeginning(content: string, model: string | null): Beginning {
  const beginning = { key: newRef(), ref: newRef(), content, model };
  keep(NAME, beginning, tab);
  return beginning;
}

export const forgetBeginning = (): void => keep(NAME, null, tab);

/** What a reload has interrupted. */
export function recallBeginning(): Beginning | null {
  const kept = recall(NAME, tab);
  const texts = isObject(kept) && ["key", "ref", "content"].every((name) => typeof kept[name] === "string");
  return texts ? (kept as unknown as Beginning) : null;
}
