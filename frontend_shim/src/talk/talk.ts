/** One conversation as lines to show: what was said, what is being said, and what waits to be sent. */

import { type Accepted, type Answer, type Client, type Message, Lost, Problem, type Store } from "../client.ts";
import { type Fault, Line } from "./line.ts";

/** Milliseconds until what couldn't be read is tried again, if the connection doesn't come back before. */
const AGAIN_MS = 10_000;

export interface TalkHost {
  /** Something is to be shown differently. */
  changed(): void;
  /** Remembers which conversation it was, over reloads. */
  store: Store | undefined;
  key: string;
}

export class Talk {
  lines: readonly Line[] = [];
  /** Characters a message may have, once that is known. */
  limit: number | null = null;
  /** Where the page before the first line begins; null if there is none. */
  #before: string | null = null;
  #conversation: string | null = null;
  #created: Promise<string> | null = null;
  /** Ended when another conversation is shown: what comes later for this one is nobody's. */
  #visit = new AbortController();
  #reading = false;
  #readAgain = false;
  #changes: AsyncIterator<unknown> | null = null;
  readonly #client: Client;
  readonly #host: TalkHost;
  readonly #forgetConnection: () => void;

  constructor(client: Client, host: TalkHost) {
    this.#client = client;
    this.#host = host;
    this.#forgetConnection = client.on("connection", ({ state }) => {
      if (state === "live") void this.#learnLimit();
      host.changed();
    });
    client.connect();
    this.open(this.#remembered());
  }

  /** The conversation that is shown; null until its first message is sent. */
  get conversation(): string | null {
    return this.#conversation;
  }

  /** Something is on its way, or being answered. */
  get busy(): boolean {
    return this.lines.some(({ answer }) => answer !== null);
  }

  get hasEarlier(): boolean {
    return this.#before !== null;
  }

  /** Show another conversation, or begin a new one. */
  open(conversation: string | null): void {
    this.#leave();
    this.#visit = new AbortController();
    this.#conversation = conversation;
    this.#created = null;
    this.#before = null;
    this.#remember();
    this.#show([]);
    if (conversation === null) return;
    for (const answer of this.#client.unsent) if (answer.turn?.conversation === conversation) this.#showUnsent(answer);
    void this.#read();
  }

  /** Characters that a text has too many. */
  excess(text: string): number {
    if (this.limit === null || text.length <= this.limit) return 0;
    // The server counts characters, not halves of them.
    return Math.max(0, [...text].length - this.limit);
  }

  send(text: string): void {
    const line = new Line("user");
    line.set({ text });
    this.#show([...this.lines, line]);
    void this.#deliver(line, this.#visit.signal);
  }

  /** Stop what is being answered, and take back what waits. */
  stop(): void {
    for (const { answer } of this.lines) answer?.cancel().catch(() => undefined);
  }

  /** Try once more what has failed: a message, or an answer. */
  async retry(line: Line): Promise<void> {
    if (line.role === "user") {
      this.#show(this.lines.filter((other) => other !== line));
      return this.send(line.text);
    }
    const { signal } = this.#visit;
    const path = `generations/${encodeURIComponent(line.generation!)}/retry`;
    try {
      await this.#client.call("POST", path, { body: {} });
      if (!signal.aborted) await this.#read();
    } catch (error) {
      line.set({ error: faultOf(error) });
      this.#host.changed();
    }
  }

  /** Show the page before the first line. */
  async earlier(): Promise<void> {
    const { signal } = this.#visit;
    if (this.#before === null) return;
    const page = await this.#client.messages(this.#conversation!, { before: this.#before });
    if (signal.aborted) return;
    this.#before = page.next_before;
    this.#show([...page.items.map((message) => this.#lineOf(message)), ...this.lines]);
  }

  close(): void {
    this.#leave();
    this.#forgetConnection();
  }

  // -- Sending ------------------------------------------------------------------------------------------------------

  async #deliver(line: Line, visit: AbortSignal): Promise<void> {
    try {
      const conversation = await this.#begun();
      if (visit.aborted) return;
      const parent = this.#parentOf(line);
      this.#track(line, this.#client.send(conversation, line.text, parent === undefined ? {} : { parent }), visit);
    } catch (error) {
      this.#refuse(line, error);
    }
  }

  /** The conversation; made with the first message. */
  async #begun(): Promise<string> {
    if (this.#conversation !== null) return this.#conversation;
    const { signal } = this.#visit;
    const created = (this.#created ??= this.#client.create().then(({ id }) => id));
    try {
      const id = await created;
      if (signal.aborted || this.#conversation !== null) return id;
      this.#conversation = id;
      this.#remember();
      void this.#read();
      return id;
    } catch (error) {
      if (this.#created === created) this.#created = null;
      throw error;
    }
  }

  /** The answer that a message follows; not known yet while messages before it wait. */
  #parentOf(line: Line): string | undefined {
    const before = this.lines.slice(0, this.lines.indexOf(line)).filter(({ state, id }) => state === "sending" || id !== null);
    return before.some(({ state }) => state === "sending") ? undefined : (before.at(-1)?.id ?? undefined);
  }

  #track(line: Line, answer: Answer, visit: AbortSignal): void {
    line.answer = answer;
    line.ref = answer.ref;
    const accepted = ({ message, generation }: Accepted): void => {
      line.answer = null;
      if (visit.aborted) return;
      line.set({ id: message!.id, state: "completed" });
      const reply = this.#known(generation.message!) ?? new Line("assistant");
      reply.generation = generation.id;
      reply.set({ id: generation.message, state: "queued" });
      if (!this.lines.includes(reply)) this.#show(insertedAfter(this.lines, line, reply));
      void this.#follow(reply, answer, visit);
    };
    answer.accepted.then(accepted, (error: unknown) => this.#refuse(line, error));
  }

  #showUnsent(answer: Answer): void {
    const line = new Line("user");
    line.set({ text: answer.turn!.content });
    this.#show([...this.lines, line]);
    this.#track(line, answer, this.#visit.signal);
  }

  #refuse(line: Line, error: unknown): void {
    line.answer = null;
    line.set({ state: "failed", error: faultOf(error) });
    this.#host.changed();
  }

  // -- Reading ------------------------------------------------------------------------------------------------------

  /** Read what there is, again if it changed meanwhile; whatever fails in passing is tried again. */
  async #read(): Promise<void> {
    const { signal } = this.#visit;
    if (this.#reading) return void (this.#readAgain = true);
    this.#reading = true;
    while (!signal.aborted) {
      this.#readAgain = false;
      // What is accepted while the answer to this is on its way isn't in it.
      const settled = new Set(this.lines.filter(({ id }) => id !== null));
      const page = await this.#client.messages(this.#conversation!).catch((error: unknown) => error);
      if (signal.aborted) return;
      if (page instanceof Problem && page.status === 404) return this.open(null);
      // Who may not read is told by the state of the connection.
      if (page instanceof Problem && page.status < 500 && page.status !== 429) break;
      if (page instanceof Error) await this.#hope(signal);
      else {
        const { items, next_before, change } = page as Awaited<ReturnType<Client["messages"]>>;
        this.#merge(items, next_before, settled);
        if (!this.#changes) void this.#watch(change, signal);
        if (!this.#readAgain) break;
      }
    }
    if (!signal.aborted) this.#reading = false;
  }

  /** Put in place what the server has, and let go what it had; what it doesn't have yet remains at the end. */
  #merge(messages: Message[], before: string | null, settled: ReadonlySet<Line>): void {
    const first = this.lines.findIndex(({ id }) => id !== null && id === messages[0]?.id);
    // Pages that were shown before the newest one stay.
    const earlier = first > 0 ? this.lines.slice(0, first) : [];
    if (first <= 0) this.#before = before;
    const read = messages.map((message) => this.#lineOf(message));
    this.#show([...earlier, ...read, ...this.lines.filter((line) => !settled.has(line) && !read.includes(line))]);
  }

  #lineOf(message: Message): Line {
    const line = this.#known(message.id, message.ref) ?? new Line(message.role === "user" ? "user" : "assistant", message.ref);
    line.know(message);
    const asked = this.#known(message.parent);
    // What was asked from here tells by itself that it is accepted.
    if (isUnderWay(message) && !line.answer && !asked?.answer) {
      void this.#follow(line, this.#client.follow(message.generation!), this.#visit.signal);
    }
    return line;
  }

  async #follow(line: Line, answer: Answer, visit: AbortSignal): Promise<void> {
    line.answer = answer;
    try {
      for await (const frame of answer) {
        if (visit.aborted) return;
        const place = frame.type === "queued" ? frame.position : null;
        line.set({ text: answer.text, thinking: answer.thinking, place, state: place === null ? "running" : "queued" });
        this.#host.changed();
      }
      line.end(await answer.whole);
    } catch (error) {
      line.set({ state: "failed", error: faultOf(error) });
    } finally {
      line.answer = null;
      if (!visit.aborted) this.#host.changed();
    }
  }

  /** What others do to the conversation, in another tab say, shows here. */
  async #watch(change: number, visit: AbortSignal): Promise<void> {
    const changes = this.#client.watch(this.#conversation!, change)[Symbol.asyncIterator]();
    this.#changes = changes;
    try {
      for (let next = await changes.next(); !next.done; next = await changes.next()) {
        const frame = next.value;
        if (visit.aborted) return;
        if (frame.type === "deleted") return this.open(null);
        if (frame.type === "reset" || this.#isNews(frame)) void this.#read();
      }
    } catch {
      // It can't be watched: then others' doings show after the next reload.
    }
  }

  #isNews(frame: { type: string; resource?: unknown }): boolean {
    if (frame.type === "conversation") {
      const { leaf } = frame.resource as { leaf: string | null };
      return leaf !== null && !this.#known(leaf);
    }
    const { id, ref } = frame.resource as Message;
    return frame.type === "message" && !this.#known(id, ref);
  }

  // -- Within -------------------------------------------------------------------------------------------------------

  #known(id: string | null, ref: string | null = null): Line | undefined {
    return this.lines.find((line) => (id !== null && line.id === id) || (ref !== null && line.ref === ref));
  }

  #show(lines: readonly Line[]): void {
    this.lines = lines;
    this.#host.changed();
  }

  /** Stop reading; what was sent goes on. */
  #leave(): void {
    this.#visit.abort();
    this.#reading = false;
    void this.#changes?.return?.();
    this.#changes = null;
    for (const { role, answer } of this.lines) if (role === "assistant") answer?.leave();
  }

  async #learnLimit(): Promise<void> {
    const { limits } = this.#client;
    if (this.limit !== null) return;
    const told = limits ?? (await this.#client.models().catch(() => null))?.limits;
    this.limit = Number(told?.content_characters) || null;
    this.#host.changed();
  }

  /** Wait until there is reason to try again. */
  #hope(visit: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        stop();
        visit.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, AGAIN_MS);
      const stop = this.#client.on("connection", ({ state }) => state === "live" && done());
      visit.addEventListener("abort", done);
    });
  }

  #remembered(): string | null {
    try {
      return this.#host.store?.getItem(this.#host.key) ?? null;
    } catch {
      return null;
    }
  }

  #remember(): void {
    const { store, key } = this.#host;
    try {
      if (this.#conversation === null) store?.removeItem(key);
      else store?.setItem(key, this.#conversation);
    } catch {
      // Then a reload begins a new one.
    }
  }
}

const isUnderWay = ({ status, generation }: Message): boolean => generation !== null && (status === "queued" || status === "running");

function insertedAfter(lines: readonly Line[], line: Line, reply: Line): Line[] {
  const at = lines.indexOf(line) + 1;
  return [...lines.slice(0, at), reply, ...lines.slice(at)];
}

/** What went wrong, in the server's words where it is the server that says so. */
function faultOf(error: unknown): Fault {
  if (error instanceof Problem) return { code: error.code, detail: error.message };
  return { code: error instanceof Lost ? "lost" : "unknown", detail: "" };
}
