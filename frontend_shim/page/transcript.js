// Messages on the page. Text gets a style and loses no character to it: what is selected, searched or copied is
// what was written. Markup is made of DOM nodes only, so nothing in a text can become any.

import { say } from "./words.js";

// A reader this near to the end wants to stay there, in pixels.
const NEAR = 48;

const LINES = /[^\n]*\n|[^\n]+$/g;
const PARAGRAPH_END = /\n\s*\n$/;
const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const HEADING = /^#{1,6} (?=\S)/;
const ITEM = /^\s*(?:[-*+•]|\d{1,9}[.)])\s+(?=\S)/;
const TABLE = /^\s*\|/;
// At the end of a text that is still being written the second mark is on its way.
const INLINE = /(\*\*|`)(?=\S)([^*`\n]+)(\1|$)/g;

function make(tag, kind, ...children) {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  element.append(...children);
  return element;
}

// There for everyone but the eye.
const mark = (text) => make("span", "mark", text);

function kindOf(line) {
  if (HEADING.test(line)) return "heading";
  if (ITEM.test(line)) return "item";
  return TABLE.test(line) ? "table" : "prose";
}

function closes(line, fence) {
  const found = FENCE.exec(line)?.[1] ?? "";
  return line.trim() === found && found.startsWith(fence);
}

// Cuts a text into parts that each have one style; joined they are the text.
function partsOf(text) {
  const parts = [];
  let fence = null;
  for (const line of text.match(LINES) ?? []) {
    const begun = fence !== null;
    const kind = begun || FENCE.test(line) ? "code" : kindOf(line);
    if (!begun && kind === "code") fence = FENCE.exec(line)[1];
    else if (begun && closes(line, fence)) fence = null;
    const last = parts.at(-1);
    const goesOn = begun || kind === "table" || (kind === "prose" && !PARAGRAPH_END.test(last?.text));
    if (goesOn && last?.kind === kind) last.text += line;
    else parts.push({ kind, text: line });
  }
  return parts;
}

function inline(text) {
  const nodes = [];
  let at = 0;
  for (const { index, 0: whole, 1: sign, 2: inner, 3: end } of text.matchAll(INLINE)) {
    nodes.push(text.slice(at, index), make(sign === "`" ? "code" : "strong", "", mark(sign), inner, mark(end)));
    at = index + whole.length;
  }
  return [...nodes, text.slice(at)];
}

function codeNodes(text) {
  const [first, ...lines] = text.split("\n");
  const [fence] = FENCE.exec(first);
  const nodes = [mark(fence), make("span", "language", first.slice(fence.length))];
  const closed = lines.length > 0 && closes(lines.at(-1), fence.trim());
  const last = closed ? lines.pop() : null;
  if (lines.length) nodes.push("\n", make("span", "source", lines.join("\n")));
  if (closed) nodes.push("\n", mark(last));
  return nodes;
}

// A block takes a line of its own; the line break after it stays outside, where it ends that line.
function nodesOf({ kind, text }) {
  if (kind === "prose") return inline(text);
  const line = text.replace(/\n$/, "");
  const end = text.slice(line.length);
  if (kind === "code") return [make("code", "block", ...codeNodes(line)), end];
  if (kind === "table") return [make("span", "table", line), end];
  const [start] = (kind === "heading" ? HEADING : ITEM).exec(line);
  const opening = kind === "heading" ? mark(start) : make("span", "bullet", start);
  return [make("span", kind, opening, ...inline(line.slice(start.length))), end];
}

// Brings `element` to show `text`. Parts that are as they were stay, and with them what is selected there.
function showText(element, text) {
  const parts = partsOf(text);
  while (element.children.length > parts.length) element.lastChild.remove();
  parts.forEach((part, at) => {
    const shown = element.children[at];
    if (shown?.source === part.text) return;
    const fresh = make("span", "", ...nodesOf(part));
    fresh.source = part.text;
    if (shown) shown.replaceWith(fresh);
    else element.append(fresh);
  });
}

class Entry {
  #role;
  #changed;
  #text;
  #thoughts = "";
  #remark = "";
  #kind = "";
  #body = make("div", "text");
  #thinking = make("div", "");
  #details = make("details", "thoughts", make("summary", "", say("thoughts")), this.#thinking);
  #note = make("p", "note");

  constructor(role, text, changed) {
    this.#role = role;
    this.#text = text;
    this.#changed = changed;
    this.element = make("article", role, this.#body, this.#note);
    this.element.ariaLabel = say(role);
  }

  add(channel, text) {
    if (channel === "answer") this.#text += text;
    else this.#thoughts += text;
    if (this.#thoughts && !this.#details.parentNode) this.element.prepend(this.#details);
    this.#changed(this);
  }

  clear() {
    this.#text = this.#thoughts = "";
    this.#details.remove();
    this.#changed(this);
  }

  // Says something about the message. kind: "wait" while it is being made, "error", or none.
  note(text, kind = "") {
    this.#remark = text;
    this.#kind = kind;
    this.#changed(this);
  }

  paint() {
    if (this.#role === "user") this.#body.textContent = this.#text;
    else showText(this.#body, this.#text);
    this.#thinking.textContent = this.#thoughts;
    this.#note.textContent = this.#remark;
    this.#note.dataset.kind = this.#kind;
    this.#note.hidden = !this.#remark;
    // What reads the page aloud waits until the answer is whole.
    this.element.ariaBusy = String(this.#kind === "wait");
  }
}

export class Transcript {
  #log;
  #jump;
  #dirty = new Set();
  // The reader is at the end and wants to stay there.
  #pinned = true;
  // Where the log was scrolled to, in pixels.
  #top = 0;
  // How far from the end the reader was, in pixels, when messages came in above.
  #kept = null;

  constructor(log, jump) {
    this.#log = log;
    this.#jump = jump;
    log.addEventListener("scroll", () => this.#scrolled());
    new ResizeObserver(() => this.#stick()).observe(log);
    jump.addEventListener("click", () => this.toEnd());
  }

  clear() {
    this.#log.replaceChildren();
    this.#dirty.clear();
    this.#pin(true);
  }

  add({ role, content }, remark = "", first = false) {
    const entry = new Entry(role, content, (changed) => this.#change(changed));
    entry.note(remark);
    if (first) this.#kept ??= this.#log.scrollHeight - this.#log.scrollTop;
    if (first) this.#log.prepend(entry.element);
    else this.#log.append(entry.element);
    return entry;
  }

  // Puts a button before all messages.
  offer(text, act) {
    const button = make("button", "earlier", text);
    button.addEventListener("click", async () => {
      button.disabled = true;
      await act();
      button.remove();
    });
    this.#log.prepend(button);
  }

  toEnd() {
    this.#pin(true);
    this.#stick();
  }

  // Many changes are one painting, at the pace of the screen.
  #change(entry) {
    if (!this.#dirty.size) requestAnimationFrame(() => this.#paint());
    this.#dirty.add(entry);
  }

  #paint() {
    for (const entry of this.#dirty) entry.paint();
    this.#dirty.clear();
    if (this.#kept !== null) this.#log.scrollTop = this.#log.scrollHeight - this.#kept;
    else this.#stick();
    this.#kept = null;
  }

  // The least step upwards lets go: nobody should have to pull.
  #scrolled() {
    const up = this.#log.scrollTop < this.#top && this.#left() > 1;
    this.#top = this.#log.scrollTop;
    this.#pin(this.#left() < NEAR && !up);
  }

  #stick() {
    if (this.#pinned) this.#log.scrollTop = this.#log.scrollHeight;
    this.#pin(this.#pinned);
  }

  #pin(pinned) {
    this.#pinned = pinned;
    this.#jump.hidden = pinned || this.#left() < NEAR;
  }

  #left() {
    return this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight;
  }
}
