/** The list of chats: a page at a time, searched, renamed, deleted with time to think again. */

import { Problem } from "../../src/errors.ts";
import type { Conversation } from "../../src/resources.ts";
import { say } from "../words/say.ts";
import { notices } from "./notices.svelte.ts";
import { client, persist } from "./server.ts";

const PAGE = 30;
/** Milliseconds until a deletion is more than a mark, and until a search is more than typing. */
const UNDO_MS = 5000;
const TYPING_MS = 250;

class Chats {
  #items = $state.raw<readonly Conversation[]>([]);
  #cursor = $state<string | null>(null);
  #found = $state.raw<readonly Conversation[] | null>(null);
  #foundCursor = $state<string | null>(null);
  #leaving = $state.raw<ReadonlySet<string>>(new Set());
  #query = $state("");
  #typing: ReturnType<typeof setTimeout> | undefined;
  /** Sends what can still be undone. */
  #commit: (() => void) | null = null;

  constructor() {
    addEventListener("pagehide", () => this.#commit?.());
  }

  readonly shown = $derived((this.#found ?? this.#items).filter(({ id }) => !this.#leaving.has(id)));
  readonly hasMore = $derived((this.#found ? this.#foundCursor : this.#cursor) !== null);

  get query(): string {
    return this.#query;
  }

  get searching(): boolean {
    return this.#found !== null;
  }

  title(id: string | null): string {
    return this.#items.find((item) => item.id === id)?.title ?? this.#found?.find((item) => item.id === id)?.title ?? "";
  }

  /** Read the newest ones again; those further down stay. */
  async refresh(): Promise<void> {
    const page = await client.conversations({ limit: PAGE }).catch(() => null);
    if (!page) return;
    const fresh = new Set(page.items.map(({ id }) => id));
    const last = page.items.at(-1)?.active_at ?? "";
    const older = this.#items.filter((item) => !fresh.has(item.id) && page.next_cursor !== null && item.active_at <= last);
    if (older.length === 0) this.#cursor = page.next_cursor;
    this.#items = [...page.items, ...older];
  }

  async more(): Promise<void> {
    try {
      if (this.#found) await this.#searchOn();
      else await this.#goOn();
    } catch (error) {
      notices.complain(error);
    }
  }

  search(query: string): void {
    this.#query = query;
    clearTimeout(this.#typing);
    if (query.trim()) this.#typing = setTimeout(() => void this.#search(query.trim()), TYPING_MS);
    else this.#found = null;
  }

  /** It is new, or otherwise than it was. */
  update(conversation: Conversation): void {
    const change = (items: readonly Conversation[]): Conversation[] =>
      items.map((item) => (item.id === conversation.id ? conversation : item));
    const known = this.#items.some(({ id }) => id === conversation.id);
    this.#items = known ? change(this.#items) : [conversation, ...this.#items];
    if (this.#found) this.#found = change(this.#found);
  }

  forget(id: string): void {
    this.#items = this.#items.filter((item) => item.id !== id);
    if (this.#found) this.#found = this.#found.filter((item) => item.id !== id);
  }

  async rename(chat: Conversation, title: string): Promise<void> {
    if (!title || title === chat.title) return;
    this.update({ ...chat, title });
    try {
      this.update(await client.rename(chat.id, title));
    } catch (error) {
      this.update(chat);
      notices.complain(error);
    }
  }

  /** Take it off the list; the server is told when it can't be undone any more. */
  delete(chat: Conversation): void {
    this.#commit?.();
    this.#mark(chat.id, true);
    const over = (): void => {
      clearTimeout(timer);
      this.#commit = notices.undoable = null;
    };
    const timer = setTimeout(() => this.#commit?.(), UNDO_MS);
    this.#commit = () => {
      over();
      void this.#delete(chat.id);
    };
    notices.undoable = {
      text: say("deleted", { title: chat.title ?? say("untitled") }),
      undo: () => {
        over();
        this.#mark(chat.id, false);
      },
    };
  }

  async #delete(id: string): Promise<void> {
    try {
      await persist(() => client.delete(id));
      this.forget(id);
    } catch (error) {
      if (error instanceof Problem && error.status === 404) this.forget(id);
      else notices.complain(error);
    }
    this.#mark(id, false);
  }

  #mark(id: string, leaving: boolean): void {
    this.#leaving = new Set(leaving ? [...this.#leaving, id] : [...this.#leaving].filter((one) => one !== id));
  }

  async #goOn(): Promise<void> {
    const page = await client.conversations({ limit: PAGE, cursor: this.#cursor! });
    const known = new Set(this.#items.map(({ id }) => id));
    this.#items = [...this.#items, ...page.items.filter(({ id }) => !known.has(id))];
    this.#cursor = page.next_cursor;
  }

  async #search(q: string): Promise<void> {
    try {
      const page = await client.conversations({ limit: PAGE, q });
      if (this.#query.trim() !== q) return;
      this.#found = page.items;
      this.#foundCursor = page.next_cursor;
    } catch (error) {
      notices.complain(error);
    }
  }

  async #searchOn(): Promise<void> {
    const q = this.#query.trim();
    const page = await client.conversations({ limit: PAGE, q, cursor: this.#foundCursor! });
    if (this.#query.trim() !== q || !this.#found) return;
    this.#found = [...this.#found, ...page.items];
    this.#foundCursor = page.next_cursor;
  }
}

export const chats = new Chats();
