/**
 * Makes a plain HTML chat live, without touching its look:
 *
 * ```js
 * attach({ form: "#chat", input: "#chat textarea", log: "#log", url: "https://chat.example.org/" });
 * ```
 *
 * Each message becomes an element at the end of the log: a copy of what a `<template>` in the log holds, else an `li`
 * in a list and a `p` elsewhere. In the copy `[data-text]` gets the text, `[data-thinking]` the thoughts, `[data-note]`
 * what is to be said about it, and `[data-retry]`, a button, tries again what has failed. The element itself tells
 * `data-role` (`user`, `assistant`) and `data-state` (`sending`, `queued`, `running`, `completed`, `length`,
 * `cancelled`, `failed`), so that a style sheet can show them.
 *
 * @packageDocumentation
 */

import { type Client, type ClientOptions, createClient, type Store } from "./client.ts";
import type { Line } from "./talk/line.ts";
import { sessionStore } from "./talk/store.ts";
import { Talk } from "./talk/talk.ts";
import { GrowingText, type LineView, oncePerFrame, sendsByEnter, Transcript } from "./talk/transcript.ts";
import { counted, noteOn, wordFor, type Words, wordsIn } from "./talk/words.ts";

export type { Line, LineState } from "./talk/line.ts";
export type { Talk } from "./talk/talk.ts";
export type { Words } from "./talk/words.ts";

/** An element, or a selector that finds it. */
export type Found<Kind extends Element> = Kind | string;

export interface AttachOptions extends Omit<ClientOptions, "unsent"> {
  form: Found<HTMLFormElement>;
  input: Found<HTMLInputElement | HTMLTextAreaElement>;
  /** Where messages go. */
  log: Found<HTMLElement>;
  /** Stops the answer; disabled while there is none. */
  stop?: Found<HTMLButtonElement>;
  /** Begins a new conversation. */
  newChat?: Found<HTMLButtonElement>;
  /** Shows earlier messages; hidden while there are none. */
  earlier?: Found<HTMLButtonElement>;
  /** Says how the connection is, also in `data-connection`. */
  status?: Found<HTMLElement>;
  /** A client that is there already; all options of a client are left aside then. */
  client?: Client;
  /** Remembers the conversation and what isn't sent yet over reloads; null for not at all. */
  store?: Store | null;
  /** Sentences that shall be others; all are English or Portuguese by the page's language. */
  words?: Partial<Words>;
}

export interface Attached {
  readonly client: Client;
  readonly talk: Talk;
  /** Leave the page as it was. */
  detach(): void;
}

export function attach(options: AttachOptions): Attached {
  return new Binding(options);
}

class Binding implements Attached {
  readonly client: Client;
  readonly talk: Talk;
  readonly #form: HTMLFormElement;
  readonly #input: HTMLInputElement | HTMLTextAreaElement;
  readonly #log: HTMLElement;
  readonly #stop: HTMLButtonElement | null;
  readonly #newChat: HTMLButtonElement | null;
  readonly #earlier: HTMLButtonElement | null;
  readonly #status: HTMLElement | null;
  readonly #words: Words;
  readonly #transcript: Transcript;
  readonly #closesClient: boolean;
  readonly #detaching = new AbortController();

  constructor(options: AttachOptions) {
    this.#form = found(options.form, "form");
    this.#input = found(options.input, "input");
    this.#log = found(options.log, "log");
    this.#stop = options.stop ? found(options.stop, "stop") : null;
    this.#newChat = options.newChat ? found(options.newChat, "newChat") : null;
    this.#earlier = options.earlier ? found(options.earlier, "earlier") : null;
    this.#status = options.status ? found(options.status, "status") : null;
    const { ownerDocument: page } = this.#form;
    this.#words = { ...wordsIn(page.documentElement.lang || page.defaultView!.navigator.language), ...options.words };
    this.#transcript = new Transcript(this.#log, (line) => this.#viewOf(line));
    if (!this.#log.role) this.#log.role = "log";

    const store = options.store === undefined ? sessionStore(page.defaultView!) : (options.store ?? undefined);
    this.#closesClient = !options.client;
    this.client = options.client ?? createClient({ ...options, ...(store && { unsent: store }) });
    const key = `chatserver.conversation ${String(options.url ?? "")}`;
    const changed = oncePerFrame(page.defaultView!, () => this.#paint());
    this.talk = new Talk(this.client, { changed, store, key });
    this.#listen();
  }

  detach(): void {
    this.#detaching.abort();
    this.talk.close();
    if (this.#closesClient) this.client.close();
    this.#transcript.clear();
    this.#input.setCustomValidity("");
  }

  // -- What people do -----------------------------------------------------------------------------------------------

  #listen(): void {
    const { signal } = this.#detaching;
    const on = (element: HTMLElement | null, type: string, act: (event: Event) => void): void =>
      element?.addEventListener(type, act, { signal });
    on(this.#form, "submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    on(this.#input, "input", () => this.#checkLength());
    on(this.#input, "keydown", (event) => {
      // A field of one line does so by itself.
      if (this.#input.tagName !== "TEXTAREA" || !sendsByEnter(event as KeyboardEvent)) return;
      event.preventDefault();
      this.#form.requestSubmit();
    });
    on(this.#stop, "click", () => this.talk.stop());
    on(this.#newChat, "click", () => {
      this.talk.open(null);
      this.#input.focus();
    });
    on(this.#earlier, "click", () => void this.talk.earlier().catch(() => undefined));
  }

  #submit(): void {
    const text = this.#input.value;
    if (!text.trim()) return;
    // A form that checks nothing by itself gets here too.
    if (!this.#checkLength()) return void this.#input.reportValidity();
    this.#input.value = "";
    this.talk.send(text);
  }

  /** The page says what is too long before it is sent, as it says it of any other field. */
  #checkLength(): boolean {
    const excess = this.talk.excess(this.#input.value);
    this.#input.setCustomValidity(excess > 0 ? counted(this.#words.tooLong, excess) : "");
    return excess === 0;
  }

  // -- What they see ------------------------------------------------------------------------------------------------

  #paint(): void {
    if (this.#detaching.signal.aborted) return;
    this.#transcript.paint(this.talk.lines);
    this.#checkLength();
    if (this.#stop) this.#stop.disabled = !this.talk.busy;
    if (this.#earlier) this.#earlier.hidden = !this.talk.hasEarlier;
    const { connection } = this.client;
    const word = wordFor(connection, this.#words);
    if (!this.#status) return;
    this.#status.dataset.connection = connection.state;
    if (this.#status.textContent !== word) this.#status.textContent = word;
  }

  #viewOf(line: Line): LineView {
    const element = emptyMessage(this.#log);
    const text = new GrowingText(element.querySelector<HTMLElement>("[data-text]") ?? element);
    const thoughts = element.querySelector<HTMLElement>("[data-thinking]");
    const thinking = thoughts && new GrowingText(thoughts);
    const retry = element.querySelector<HTMLElement>("[data-retry]");
    let note = element.querySelector<HTMLElement>("[data-note]");
    element.dataset.role = line.role;
    retry?.addEventListener("click", () => void this.talk.retry(line));
    return {
      element,
      show: (shown) => {
        element.dataset.state = shown.state;
        // Who listens to the page hears an answer when it is whole, and not at each word.
        element.ariaBusy = String(shown.state === "queued" || shown.state === "running");
        text.show(shown.text);
        thinking?.show(shown.thinking);
        if (retry) retry.hidden = shown.state !== "failed";
        const said = noteOn(shown, this.#words);
        if (said && !note) element.append((note = element.ownerDocument.createElement("small")));
        if (note) note.textContent = said;
      },
    };
  }
}

function found<Kind extends Element>(given: Found<Kind>, name: string): Kind {
  const element = typeof given === "string" ? document.querySelector<Kind>(given) : given;
  if (!element) throw new TypeError(`attach: there is no ${name} ${String(given)}.`);
  return element;
}

/** A copy of what the page wants messages to be. */
function emptyMessage(log: HTMLElement): HTMLElement {
  const example = log.querySelector("template")?.content.firstElementChild;
  if (example) return log.ownerDocument.importNode(example, true) as HTMLElement;
  return log.ownerDocument.createElement(/^[ou]l$/i.test(log.tagName) ? "li" : "p");
}
