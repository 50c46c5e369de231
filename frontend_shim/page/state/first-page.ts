/**
 * The newest messages of a conversation, asked for as soon as somebody seems to want them. A page that is a little
 * old does no harm: who watches from its change number is told of everything since.
 */

import type { MessagePage } from "../../src/resources.ts";
import { client, persist } from "./server.ts";

const KEPT_MS = 30_000;

let expected: { id: string; at: number; page: Promise<MessagePage | null> } | null = null;

export function prefetch(id: string): void {
  if (expected?.id === id && Date.now() - expected.at < KEPT_MS) return;
  expected = { id, at: Date.now(), page: client.messages(id).catch(() => null) };
}

export async function firstPage(id: string): Promise<MessagePage> {
  const ready = expected?.id === id && Date.now() - expected.at < KEPT_MS ? expected.page : null;
  expected = null;
  return (await ready) ?? persist(() => client.messages(id));
}
