/** What a model sees of a conversation now, or saw of it for one answer; and the summary in a person's own words. */

import type { ContextReport, ConversationContext, Summary } from "./context-report.ts";
import { notices } from "./notices.svelte.ts";
import type { Reply } from "./reply.svelte.ts";
import { client } from "./server.ts";
import type { Talk } from "./talk.svelte.ts";

class ContextPanel {
  /** Whose; null while nothing is shown. */
  talk = $state.raw<Talk | null>(null);
  /** The answer it is about; null for the conversation as it is now. */
  reply = $state.raw<Reply | null>(null);
  #now = $state.raw<ConversationContext | null>(null);
  saved = $state(false);

  readonly report = $derived<ContextReport | null>(this.reply ? this.reply.report : (this.#now?.report ?? null));
  readonly model = $derived(this.reply ? this.reply.model : (this.#now?.model ?? null));

  get summary(): Summary | null {
    return this.#now?.summary ?? null;
  }

  get messages(): ConversationContext["messages"] {
    return this.#now?.messages ?? [];
  }

  open(talk: Talk, reply: Reply | null = null): void {
    this.talk = talk;
    this.reply = reply;
    this.#now = null;
    this.saved = false;
    void (reply ? talk.askAbout(reply) : this.#look(talk));
  }

  close(): void {
    this.talk = null;
  }

  async saveSummary(text: string): Promise<void> {
    const { talk } = this;
    if (!talk?.id) return;
    try {
      await client.call("PUT", `conversations/${encodeURIComponent(talk.id)}/summary`, { body: { text } });
      await this.#look(talk);
      this.saved = true;
    } catch (error) {
      notices.complain(error);
    }
  }

  async #look(talk: Talk): Promise<void> {
    if (!talk.id) return;
    try {
      const context = (await client.context(talk.id)) as unknown as ConversationContext;
      if (this.talk === talk && !this.reply) this.#now = context;
    } catch (error) {
      notices.complain(error);
    }
  }
}

export const contextPanel = new ContextPanel();
