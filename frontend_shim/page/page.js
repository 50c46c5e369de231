// The chat page: one conversation at a time, whose running answer is followed wherever it stands.

import { call, Connection, newRef, persist, Problem } from "./connection.js";
import { Transcript } from "./transcript.js";
import { explain, explainEnd, say, translatePage } from "./words.js";

const part = (id) => document.getElementById(id);
const [state, chats, list, standIn] = ["state", "chats", "list", "stand-in"].map(part);
const [log, notice] = ["log", "notice"].map(part);
const [box, send, stop, hint, count] = ["message", "send", "stop", "hint", "count"].map(part);

// What is remembered, and where; the page does without where storage is refused.
const LAST_CHAT = ["localStorage", "chatserver.conversation"];
const UNSENT = ["sessionStorage", "chatserver.unsent"];

const TITLE_LENGTH = 60;
const CHATS_SHOWN = 30;

// The conversation on the page. A new object with each one opened: who holds an old one has come too late.
// phase: "loading", "ready", "busy" while an answer is made, "stopping".
let view;
// The turn on its way to the server when the page was left.
let unsent = recall(UNSENT);
// Settles when the newest turn is accepted, or not.
let arrival;

const transcript = new Transcript(log, part("latest"));
const connection = new Connection(showState);

function recall([kind, name]) {
  try {
    return JSON.parse(window[kind].getItem(name));
  } catch {
    return null;
  }
}

function remember([kind, name], value) {
  try {
    window[kind].setItem(name, JSON.stringify(value));
  } catch {
    // Then a reload begins afresh.
  }
}

function complain(error) {
  notice.textContent = error instanceof Problem ? explain(error.facts) : say("unexpected");
  if (!(error instanceof Problem)) console.error(error);
}

// -- The conversation ---------------------------------------------------------------------------------------------

async function open(id) {
  if (view?.generation) connection.unfollow(view.generation);
  const opened = (view = { id, leaf: null, generation: null, phase: id ? "loading" : "ready" });
  keepPlace(opened);
  transcript.clear();
  notice.textContent = "";
  showView();
  if (!id) return redeliver(opened, []);
  try {
    // A turn that was under way when its conversation was left is among the messages once it is accepted.
    await Promise.allSettled([arrival]);
    const page = await persist(() => call("GET", `conversations/${id}/messages`));
    if (view === opened) showMessages(opened, page);
  } catch (error) {
    if (view !== opened) return;
    open(null);
    complain(error);
  }
}

function showMessages(opened, { items, next_before: before }) {
  const entries = items.map((message) => transcript.add(message, explainEnd(message.status)));
  if (before) offerEarlier(opened, before);
  const last = items.at(-1);
  opened.leaf = last?.id ?? null;
  opened.phase = ["queued", "running"].includes(last?.status) ? "busy" : "ready";
  if (opened.phase === "busy") entries.at(-1).note("", "wait");
  // Read from its start also when it has ended: how it ended is told there.
  if (last?.generation) {
    opened.generation = last.generation;
    connection.follow(last.generation, reader(opened, entries.at(-1)));
  }
  showView();
  redeliver(opened, items);
}

function offerEarlier(opened, before) {
  transcript.offer(say("earlier"), async () => {
    const page = await persist(() => call("GET", `conversations/${opened.id}/messages?before=${before}`));
    if (view !== opened) return;
    for (const message of page.items.reverse()) transcript.add(message, explainEnd(message.status), true);
    if (page.next_before) offerEarlier(opened, page.next_before);
  });
}

// Makes what receives the frames of an answer.
function reader(opened, entry) {
  let leftOut = "";
  return (frame) => {
    switch (frame.type) {
      case "queued": {
        const seconds = Math.ceil(frame.eta_ms / 1000);
        return entry.note(say(seconds ? "queuedFor" : "queued", { ...frame, seconds }), "wait");
      }
      case "started":
        leftOut = frame.context?.left_out ? say("leftOut", frame.context) : "";
        entry.clear();
        return entry.note(say("preparing"), "wait");
      case "delta":
        entry.add(frame.channel, frame.text);
        return entry.note(frame.channel === "thinking" ? say("thinking") : "", "wait");
      case "reset":
        entry.clear();
        return entry.note(say("again"), "wait");
      case "end":
        entry.note(explainEnd(frame.reason, frame.error) || leftOut, frame.error ? "error" : "");
        return answered(opened);
    }
  };
}

function answered(opened) {
  opened.generation = null;
  opened.phase = "ready";
  showView();
  showChats();
  showModels();
}

// -- Turns --------------------------------------------------------------------------------------------------------

function submit() {
  const content = box.value.trim();
  if (!content || view.phase !== "ready" || excess() > 0) return;
  box.value = "";
  deliver(view, { ref: newRef(), creation: newRef(), conversation: view.id, content, parent: view.leaf });
}

// Sends again what leaving the page has interrupted, unless it had arrived. Under the same ref it can't double.
function redeliver(opened, items) {
  const turn = unsent;
  if (!turn || turn.conversation !== opened.id) return;
  unsent = null;
  if (!items.some(({ ref }) => ref === turn.ref)) deliver(opened, turn);
}

async function deliver(opened, turn) {
  const question = transcript.add({ role: "user", content: turn.content });
  const answer = transcript.add({ role: "assistant", content: "" });
  answer.note(say("sending"), "wait");
  notice.textContent = "";
  opened.phase = "busy";
  showView();
  transcript.toEnd();
  try {
    await (arrival = arrive(opened, turn, answer));
  } catch (error) {
    question.element.remove();
    answer.element.remove();
    await takeBack(opened, turn, error);
  } finally {
    if (recall(UNSENT)?.ref === turn.ref) remember(UNSENT, null);
  }
}

async function arrive(opened, turn, answer) {
  remember(UNSENT, turn);
  const { creation, ...sent } = turn;
  if (!turn.conversation) {
    const title = Array.from(turn.content.replace(/\s+/g, " ")).slice(0, TITLE_LENGTH).join("");
    const made = await persist(() => call("POST", "conversations", { body: { title }, key: creation }));
    opened.id = sent.conversation = made.id;
    remember(UNSENT, { ...turn, conversation: made.id });
    if (view === opened) keepPlace(opened);
    showChats();
  }
  const { generation } = await connection.send(sent, reader(opened, answer));
  opened.leaf = generation.message;
  opened.generation = generation.id;
  if (view !== opened) connection.unfollow(generation.id);
  if (opened.phase === "stopping") cancel(generation.id);
}

// What the server didn't take goes back to where it was written.
async function takeBack(opened, turn, error) {
  opened.phase = "ready";
  if (view !== opened) return;
  box.value = [turn.content, box.value].filter(Boolean).join("\n\n");
  if (error.facts?.field === "content") connection.limits = { content_characters: error.facts.limit };
  showView();
  // Another tab is ahead: show what it has sent.
  if (error.facts?.code === "turn_in_progress") await open(opened.id);
  complain(error);
}

function cancel(generation) {
  persist(() => call("POST", `generations/${generation}/cancel`)).catch(complain);
}

// -- The page around it -------------------------------------------------------------------------------------------

// A reload, and the next visit, come back to this conversation.
function keepPlace({ id }) {
  if (location.hash.slice(1) !== (id ?? "")) history.replaceState(null, "", id ? `#${id}` : location.pathname);
  remember(LAST_CHAT, id);
}

function showView() {
  const { id, phase } = view;
  part("welcome").hidden = Boolean(id) || phase !== "ready";
  send.hidden = ["busy", "stopping"].includes(phase);
  stop.hidden = !send.hidden;
  stop.disabled = phase === "stopping";
  for (const link of list.querySelectorAll("a")) link.ariaCurrent = link.hash.slice(1) === id ? "page" : null;
  showDraft();
}

// Characters beyond what the server takes, which counts code points. NaN until it has told its limit.
function excess() {
  return Array.from(box.value.trim()).length - (connection.limits?.content_characters ?? NaN);
}

function showDraft() {
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
  const over = excess();
  const limit = connection.limits?.content_characters;
  const near = over > -limit / 5;
  send.disabled = over > 0 || !box.value.trim();
  box.ariaInvalid = String(over > 0);
  hint.hidden = near;
  count.textContent = near ? say(over > 0 ? "tooLong" : "count", { over, limit, count: limit + over }) : "";
}

function showState(word) {
  state.textContent = say(word);
  state.dataset.state = word;
  showDraft();
  if (word === "live" || word === "polling") showModels();
}

async function showModels() {
  const models = await call("GET", "models").catch(() => null);
  if (!models) return;
  standIn.hidden = !models.simulated;
  if (!models.items.length) notice.textContent = say("noModels");
}

async function showChats() {
  const page = await call("GET", `conversations?limit=${CHATS_SHOWN}`).catch(() => null);
  if (!page) return;
  list.replaceChildren(...page.items.map(({ id, title }) => {
    const item = document.createElement("li");
    const link = item.appendChild(document.createElement("a"));
    link.href = `#${id}`;
    link.textContent = title ?? say("untitled");
    return item;
  }));
  showView();
}

part("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
  box.focus();
});
box.addEventListener("keydown", (event) => {
  // An input method takes Enter for itself.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});
box.addEventListener("input", showDraft);
stop.addEventListener("click", () => {
  view.phase = "stopping";
  showView();
  if (view.generation) cancel(view.generation);
  box.focus();
});
part("new").addEventListener("click", () => {
  history.pushState(null, "", location.pathname);
  open(null);
  box.focus();
});
list.addEventListener("click", () => chats.hidePopover());
window.addEventListener("hashchange", () => {
  const id = location.hash.slice(1) || null;
  if (id !== view.id) open(id);
});
window.addEventListener("online", () => connection.wake());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  connection.wake();
  showModels();
  showChats();
});

translatePage();
open(location.hash.slice(1) || recall(LAST_CHAT));
showState("connecting");
connection.start();
showChats();
