/**
 * The whole chat as an element, for any page:
 *
 * ```html
 * <script type="module" src="https://chat.example.org/client/chat-panel.js"></script>
 * <chat-panel heading="Ask us"></chat-panel>
 * ```
 *
 * Attributes: `src`, where the server is, by default where this script came from; `heading`; `lang`. Style sheets of the
 * page set variables: `--chat-background`, `--chat-text`, `--chat-muted`, `--chat-line`, `--chat-question`,
 * `--chat-accent`, `--chat-on-accent`, `--chat-alarm`, `--chat-radius`, `--chat-font`, `--chat-height`; and reach
 * `::part(header)`, `log`, `message`, `form`, `input`, `button`, `status`. Nothing in it needs `unsafe-inline`.
 *
 * @packageDocumentation
 */

import { type Auth, type Client, createClient, type Store } from "./client.ts";
import type { MarkdownView } from "./panel/markdown.ts";
import { SHEET } from "./panel/sheet.ts";
import type { Line } from "./talk/line.ts";
import { sessionStore } from "./talk/store.ts";
import { Talk } from "./talk/talk.ts";
import { GrowingText, type LineView, oncePerFrame, sendsByEnter, Transcript } from "./talk/transcript.ts";
import { counted, noteOn, wordFor, type Words, wordsIn } from "./talk/words.ts";

/** Built into the server, this script lies beside its client; a page that bundles it says where the server is. */
const HOME = import.meta.url.replace(/client\/[^/]*$/, "");

/** A server that renders pages knows no elements, and only imports this. */
const Base: typeof HTMLElement = globalThis.HTMLElement ?? (class {} as typeof HTMLElement);

export class ChatPanel extends Base {
  static readonly observedAttributes = ["src", "heading", "lang"];
  /** Says who asks, where a cookie doesn't; to be set before the panel is put into the page. */
  auth: Auth | undefined;
  #running: Running | null = null;

  /** The client, while the panel is in a page. */
  get client(): Client | null {
    return this.#running?.client ?? null;
  }

  connectedCallback(): void {
    this.#running ??= new Running(this, this.shadowRoot ?? this.attachShadow({ mode: "open" }));
  }

  disconnectedCallback(): void {
    this.#running?.end();
    this.#running = null;
  }

  attributeChangedCallback(_: string, before: string | null, now: string | null): void {
    if (!this.#running || before === now) return;
    this.disconnectedCallback();
    this.connectedCallback();
  }
}

/** A panel while it is in a page. */
class Running {
  readonly client: Client;
  readonly #talk: Talk;
  readonly #words: Words;
  readonly #transcript: Transcript;
  readonly #root: ShadowRoot;
  readonly #earlier: HTMLButtonElement;
  readonly #status: HTMLElement;
  readonly #excess: HTMLElement;
  readonly #input: HTMLTextAreaElement;
  readonly #send: HTMLButtonElement;
  readonly #stop: HTMLButtonElement;

  constructor(panel: ChatPanel, root: ShadowRoot) {
    const { ownerDocument: page } = panel;
    const view = page.defaultView!;
    const words = wordsIn(panel.lang || page.documentElement.lang || view.navigator.language);
    this.#words = words;
    this.#root = root;
    root.adoptedStyleSheets = [sheetOf(view)];

    const button = (word: string, act: () => void, name = ""): HTMLButtonElement =>
      on(make("button", { textContent: word, type: "button", className: name }, "button"), "click", act);
    this.#earlier = button(words.earlier, () => void this.#talk.earlier().catch(() => undefined));
    this.#send = make("button", { textContent: words.send, type: "submit", className: "main" }, "button");
    this.#stop = button(words.stop, () => this.#talk.stop());
    this.#input = make("textarea", { rows: 1, ariaLabel: words.message, placeholder: words.message }, "input");
    this.#status = make("span", { role: "status" }, "status");
    this.#excess = make("span", { className: "excess", role: "alert" });
    const heading = panel.getAttribute("heading") ?? words.heading;
    const log = make("div", { className: "log", role: "log", ariaLabel: heading, tabIndex: 0 }, "log");
    log.append(this.#earlier);
    const form = make("form", { noValidate: true }, "form");
    form.append(this.#input, this.#stop, this.#send);
    const header = make("header", {}, "header");
    header.append(make("h2", { textContent: heading }), button(words.newChat, () => this.#begin()));
    const footer = make("footer", {});
    footer.append(this.#status, this.#excess);
    root.replaceChildren(header, log, form, footer);

    this.#transcript = new Transcript(log, (line) => this.#viewOf(line));
    on(form, "submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    on(this.#input, "input", () => this.#checkLength());
    on(this.#input, "keydown", (event) => {
      if (!sendsByEnter(event as KeyboardEvent)) return;
      event.preventDefault();
      this.#submit();
    });

    const url = panel.getAttribute("src") ?? HOME;
    const store: Store | undefined = sessionStore(view);
    this.client = createClient({ url, ...(store && { unsent: store }), ...(panel.auth && { auth: panel.auth }) });
    const changed = oncePerFrame(view, () => this.#paint());
    this.#talk = new Talk(this.client, { changed, store, key: `chatserver.conversation ${url}` });
  }

  end(): void {
    this.#talk.close();
    this.client.close();
    this.#root.replaceChildren();
  }

  #begin(): void {
    this.#talk.open(null);
    this.#input.focus();
  }

  #submit(): void {
    const text = this.#input.value;
    if (!text.trim() || !this.#checkLength()) return;
    this.#input.value = "";
    this.#talk.send(text);
  }

  /** What is too long is said before it is sent. */
  #checkLength(): boolean {
    const excess = this.#talk.excess(this.#input.value);
    const said = excess > 0 ? counted(this.#words.tooLong, excess) : "";
    if (this.#excess.textContent !== said) this.#excess.textContent = said;
    this.#input.ariaInvalid = String(excess > 0);
    this.#send.disabled = excess > 0;
    return excess === 0;
  }

  #paint(): void {
    this.#transcript.paint(this.#talk.lines);
    this.#checkLength();
    this.#stop.hidden = !this.#talk.busy;
    this.#earlier.hidden = !this.#talk.hasEarlier;
    const word = wordFor(this.client.connection, this.#words);
    if (this.#status.textContent !== word) this.#status.textContent = word;
  }

  /** An answer's Markdown, as soon as what shows it is there; until then, and without it, the text as it is. */
  #richText(body: HTMLElement, plain: GrowingText, line: Line): (text: string) => void {
    let view: MarkdownView | null = null;
    if (line.role === "assistant") {
      void loadMarkdown().then((markdown) => {
        if (!markdown) return;
        body.replaceChildren();
        body.className = "text rich";
        view = new markdown.MarkdownView(body);
        this.#transcript.change(() => view!.show(line.text));
      });
    }
    return (text) => (view ?? plain).show(text);
  }

  #viewOf(line: Line): LineView {
    const words = this.#words;
    const element = make("article", {}, "message");
    element.dataset.role = line.role;
    const thoughts = make("details", { hidden: true });
    thoughts.append(make("summary", { textContent: words.thinking }));
    const thinking = new GrowingText(thoughts.appendChild(make("div", {})));
    const body = make("div", { className: "text" });
    const showText = this.#richText(body, new GrowingText(body), line);
    const note = make("div", { className: "note" });
    const retry = on(make("button", { textContent: words.retry, type: "button" }, "button"), "click", () => {
      void this.#talk.retry(line);
    });
    element.append(make("span", { className: "unseen", textContent: `${words[line.role]}: ` }), thoughts, body, note, retry);
    return {
      element,
      show: ({ state, ...shown }) => {
        element.dataset.state = state;
        // Who listens to the page hears an answer when it is whole, and not at each word.
        element.ariaBusy = String(state === "queued" || state === "running");
        thoughts.hidden = !shown.thinking;
        thinking.show(shown.thinking);
        showText(shown.text);
        note.textContent = noteOn(line, words);
        retry.hidden = state !== "failed";
      },
    };
  }
}

let markdown: Promise<typeof import("./panel/markdown.ts") | null> | null = null;

/** A file of its own, which a panel without answers doesn't need. */
const loadMarkdown = (): NonNullable<typeof markdown> => (markdown ??= import("./panel/markdown.ts").catch(() => (markdown = null)));

let sheet: CSSStyleSheet | null = null;

/** One for all panels of a page. A sheet that a script makes is no inline style, whatever the policy of the page. */
function sheetOf(view: Window): CSSStyleSheet {
  if (sheet) return sheet;
  sheet = new (view as Window & typeof globalThis).CSSStyleSheet();
  sheet.replaceSync(SHEET);
  return sheet;
}

function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  members: Partial<HTMLElementTagNameMap[Name]>,
  part = "",
): HTMLElementTagNameMap[Name] {
  const element = Object.assign(document.createElement(name), members);
  if (part) element.part.add(part);
  return element;
}

function on<Target extends EventTarget>(target: Target, type: string, act: (event: Event) => void): Target {
  target.addEventListener(type, act);
  return target;
}

// A page may load it twice, from the server and in a bundle of its own.
if (globalThis.customElements && !customElements.get("chat-panel")) customElements.define("chat-panel", ChatPanel);

declare global {
  interface HTMLElementTagNameMap {
    "chat-panel": ChatPanel;
  }
}
