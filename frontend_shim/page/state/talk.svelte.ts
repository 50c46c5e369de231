/** One conversation on the page: the branch that is shown, what is sent to it, and what others change in it. */

import type { Answer } from "../../src/answer.ts";
import { Problem } from "../../src/errors.ts";
import type { ConversationFrame } from "../../src/frames.ts";
import type { Message, MessagePage } from "../../src/resources.ts";
import { newRef } from "../../src/environment.ts";
import { type Beginning, forgetBeginning, keepBeginning } from "./beginning.ts";
import { chats } from "./chats.svelte.ts";
import { connection } from "./connection.svelte.ts";
import { draft } from "./draft.svelte.ts";
import { models } from "./models.svelte.ts";
import { notices } from "./notices.svelte.ts";
import { firstPage } from "./first-page.ts";
import { Question } from "./question.svelte.ts";
import { Reply } from "./reply.svelte.ts";
import { client, persist } from "./server.ts";

export type Entry = Question | Reply;

/** Pages that are read to find a message; no person looks further back at once. */
const MOST_PAGES = 20;

export class Talk {
  /** Null until there is one. */
  id = $state<string | null>(null);
  entries = $state.raw<readonly Entry[]>([]);
  loading = $state(false);
  model = $state<string | null>(null);
  /** Where the messages before those that are shown begin. */
  before = $state<string | null>(null);
  /** It was deleted elsewhere, or never was. */
  gone = $state(false);
  readonly busy = $derived(this.entries.some((entry) => entry.kind === "reply" && entry.busy));
  /** The message at which everybody's branch ends. */
  #leaf: string | null = null;
  #closed = false;
  #watching: AsyncIterator<ConversationFrame> | null = null;
  /** Settles when a new chat exists. */
  #begun: Promise<void> | null = null;

  constructor(id: string | null) {
    this.id = id;
  }

  /** Show what there is of it, and keep to it. */
  async open(): Promise<void> {
    const id = this.id!;
    this.loading = true;
    try {
      const page = await firstPage(id);
      if (this.#closed) return;
      this.#show(page);
      this.#showUnsent(id);
      void this.#watch(id, page.change);
      void client.conversation(id).then(({ model }) => (this.model = model), () => undefined);
    } catch (error) {
      this.gone = error instanceof Problem && error.status === 404;
      notices.complain(error);
    } finally {
      this.loading = false;
    }
  }

  /** Let go of it; what isn't accepted is sent all the same. */
  close(): void {
    this.#closed = true;
    void this.#watching?.return?.();
    this.#put([]);
  }

  async loadEarlier(): Promise<void> {
    try {
      const page = await persist(() => client.messages(this.id!, { before: this.before! }));
      if (this.#closed) return;
      this.before = page.next_before;
      this.entries = [...page.items.map((message) => this.#entryOf(message)), ...this.entries];
    } catch (error) {
      notices.complain(error);
    }
  }

  // -- What a person does -------------------------------------------------------------------------------------------

  send(content: string): void {
    const last = this.entries.at(-1);
    // What follows something that isn't accepted yet follows whatever that becomes.
    const parent = last ? last.id : null;
    if (this.id || this.#begun) void this.#deliver(content, newRef(), this.entries, parent ?? undefined);
    else this.begin(keepBeginning(content, models.chosen));
  }

  /** Send the first message of a new chat, perhaps once more after a reload. */
  begin({ key, ref, content, model }: Beginning): void {
    this.#begun = client.create(model ? { model } : {}, key).then((conversation) => {
      chats.update(conversation);
      this.model = conversation.model;
      this.id = conversation.id;
      void this.#watch(conversation.id, conversation.change);
    });
    void this.#deliver(content, ref, []).finally(() => (this.#begun = null));
  }

  /** Send another question in place of one; the one before stays beside it. */
  edit(question: Question, content: string): void {
    const kept = this.entries.slice(0, this.entries.indexOf(question));
    void this.#deliver(content, newRef(), kept, question.parent);
  }

  regenerate(reply: Reply): void {
    void this.#replace(reply, client.regenerate(this.id!, reply.id!));
  }

  retry(reply: Reply): void {
    void this.#replace(reply, client.retry(reply.generation!));
  }

  /** Stop what is being made, the newest first. */
  stop(): void {
    const making = this.entries.findLast((entry) => entry.kind === "reply" && entry.busy) as Reply | undefined;
    making?.stop().catch((error: unknown) => notices.complain(error));
  }

  async showVersion(id: string): Promise<void> {
    try {
      const page = await this.#pageWith(id);
      if (this.#closed) return;
      this.#show(page);
      this.#leaf = page.items.at(-1)?.id ?? null;
      await client.update(this.id!, { leaf: id });
    } catch (error) {
      notices.complain(error);
    }
  }

  async chooseModel(model: string | null): Promise<void> {
    this.model = model;
    if (this.id) await client.update(this.id, { model }).catch((error: unknown) => notices.complain(error));
  }

  /** Whether it waits for the answer before it. */
  isBehind(reply: Reply): boolean {
    const at = this.entries.indexOf(reply);
    return this.entries.slice(0, at).some((entry) => entry.kind === "reply" && entry.busy);
  }

  /** A message tells little of how its answer came about. */
  async askAbout(reply: Reply): Promise<void> {
    if (reply.busy || !reply.generation || reply.report?.prompt_eval_count !== undefined) return;
    const generation = await client.generation(reply.generation).catch(() => null);
    if (generation && !reply.busy) reply.tell(generation);
  }

  // -- Sending ------------------------------------------------------------------------------------------------------

  async #deliver(content: string, ref: string, kept: readonly Entry[], parent?: string | null): Promise<void> {
    const before = this.entries;
    const question = new Question(content, ref);
    const reply = new Reply();
    this.#put([...kept, question, reply]);
    try {
      await this.#begun;
      const answer = client.send(this.id!, content, { ref, ...(parent !== undefined && { parent }) });
      forgetBeginning();
      await this.#accept(answer, reply, question);
    } catch (error) {
      this.#takeBack(error, [question, reply], before, content);
    }
  }

  async #replace(reply: Reply, answer: Answer): Promise<void> {
    const before = this.entries;
    const fresh = new Reply();
    this.#put([...before.slice(0, before.indexOf(reply)), fresh]);
    try {
      await this.#accept(answer, fresh);
      this.#setVersions([...reply.versions, fresh.id!]);
    } catch (error) {
      this.#takeBack(error, [fresh], before);
    }
  }

  async #accept(answer: Answer, reply: Reply, question?: Question): Promise<void> {
    notices.clear();
    const read = reply.read(answer).then(() => this.#ended(reply));
    void read;
    const { message, generation } = await answer.accepted;
    if (message) question?.be(message);
    if (message) this.#setVersions(message.versions);
    reply.accept(generation);
    this.#leaf = reply.id;
    if (this.#closed) reply.leave();
    void chats.refresh();
  }

  /** The server didn't take it, or it was taken back in time. */
  #takeBack(error: unknown, refused: Entry[], before: readonly Entry[], content = ""): void {
    const others = this.entries.filter((entry) => !refused.includes(entry));
    this.#put(before.every((entry) => others.includes(entry)) ? others : before);
    if (error instanceof Problem && error.facts.field === "content") connection.learn(error.facts.limit);
    if (this.#closed) return;
    if (content) draft.giveBack(content);
    // Another tab is ahead: show what it has sent.
    if (error instanceof Problem && error.code === "turn_in_progress") void this.#reload();
    notices.complain(error);
  }

  #ended(reply: Reply): void {
    if (this.#closed || reply.busy) return;
    void models.refresh();
    void chats.refresh();
  }

  // -- What is shown ------------------------------------------------------------------------------------------------

  #show({ items, next_before }: MessagePage): void {
    this.before = next_before;
    const waiting = this.entries.filter((entry) => entry.id === null);
    const entries = items.map((message) => this.#entryOf(message));
    this.#put([...entries, ...waiting.filter((entry) => !entries.includes(entry))]);
    const last = this.entries.at(-1);
    if (last?.kind === "reply") void this.askAbout(last);
    this.#leaf = last?.id ?? null;
  }

  /** What was sent from here before, perhaps before a reload, and isn't accepted yet. */
  #showUnsent(conversation: string): void {
    for (const answer of client.unsent) {
      const known = this.entries.some((entry) => entry.kind === "question" && entry.ref === answer.ref);
      if (answer.turn?.conversation !== conversation || known) continue;
      const question = new Question(answer.turn.content, answer.ref);
      const reply = new Reply();
      const before = this.entries;
      this.#put([...before, question, reply]);
      this.#accept(answer, reply, question).catch((error: unknown) =>
        this.#takeBack(error, [question, reply], before, question.content),
      );
    }
  }

  #put(entries: readonly Entry[]): void {
    for (const entry of this.entries) {
      if (entry.kind === "reply" && !entries.includes(entry)) entry.leave();
    }
    this.entries = entries;
  }

  #entryOf(message: Message): Entry {
    const known = this.#known(message);
    if (known) {
      known.be(message);
      return known;
    }
    if (message.role === "user") return Question.of(message);
    const reply = Reply.of(message);
    if (reply.busy && message.generation) this.#follow(reply, message.generation);
    else if (reply.failed) void this.askAbout(reply);
    return reply;
  }

  /** One of ours may be told by others before we hear that it is accepted. */
  #known({ id, ref, parent, role }: Message): Entry | undefined {
    return this.entries.find((entry, at) => {
      if (entry.id !== null) return entry.id === id;
      if (entry.kind === "question") return role === "user" && ref !== null && entry.ref === ref;
      return role === "assistant" && this.entries[at - 1]?.id === parent;
    });
  }

  #follow(reply: Reply, generation: string): void {
    void reply.read(client.follow(generation)).then(() => this.#ended(reply));
  }

  /** Read the branch as far back as that message, which stands on it. */
  async #pageWith(id: string): Promise<MessagePage> {
    let page = await client.messages(this.id!, { leaf: id });
    for (let pages = 1; pages < MOST_PAGES; pages++) {
      if (!page.next_before || page.items.some((message) => message.id === id)) break;
      const earlier = await client.messages(this.id!, { leaf: id, before: page.next_before });
      page = { ...earlier, items: [...earlier.items, ...page.items] };
    }
    return page;
  }

  // -- What others change -------------------------------------------------------------------------------------------

  async #watch(id: string, change: number): Promise<void> {
    this.#watching = client.watch(id, change)[Symbol.asyncIterator]();
    try {
      for (let { value, done } = await this.#watching.next(); !done; { value, done } = await this.#watching.next()) {
        if (this.#closed) return;
        await this.#take(value as ConversationFrame);
      }
    } catch (error) {
      if (!this.#closed) notices.complain(error);
    }
  }

  async #take(frame: ConversationFrame): Promise<void> {
    switch (frame.type) {
      case "message":
        return this.#takeMessage(frame.resource);
      case "conversation":
        chats.update(frame.resource);
        this.model = frame.resource.model;
        return this.#takeLeaf(frame.resource.leaf);
      case "reset":
        return this.#reload();
      case "deleted":
        chats.forget(frame.conversation);
        this.gone = true;
    }
  }

  #takeMessage(message: Message): void {
    const known = this.#known(message);
    this.#setVersions(message.versions);
    if (known && !(known.kind === "reply" && known.id === null)) known.be(message);
  }

  #setVersions(versions: readonly string[]): void {
    for (const entry of this.entries) {
      if (entry.id && versions.includes(entry.id) && versions.length > entry.versions.length) entry.versions = versions;
    }
  }

  /** The branch goes on elsewhere: go with it, if this page was where it was, and nothing of ours is on its way. */
  async #takeLeaf(leaf: string | null): Promise<void> {
    const before = this.#leaf;
    this.#leaf = leaf;
    const end = this.entries.at(-1);
    if (end?.id === null || end?.id === leaf || (end && end.id !== before)) return;
    await this.#reload();
  }

  async #reload(): Promise<void> {
    const page = await persist(() => client.messages(this.id!));
    if (!this.#closed) this.#show(page);
  }
}
