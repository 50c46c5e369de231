/** A chat in plain HTML, made live in front of a scripted server. */

import { Window } from "happy-dom";
import { WebSocket } from "ws";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { attach, type Attached, type AttachOptions } from "../../src/attach.ts";
import type { Store } from "../../src/client.ts";
import { MemoryStore, until } from "./clock.ts";
import { accepted, CONVERSATION, delta, end, GENERATION, problem, ScriptedServer, started } from "./scripted.ts";

const MESSAGES = `conversations/${CONVERSATION}/messages`;

const empty = () => ({ status: 200, body: { items: [], next_before: null, change: 1 } });

let server: ScriptedServer;
let window: Window;
let page: Document;
const attached: Attached[] = [];

beforeEach(async () => {
  server = await ScriptedServer.start();
  server.handlers["POST conversations"] = () => ({ status: 201, body: { id: CONVERSATION } });
  server.handlers[`GET ${MESSAGES}`] = empty;
  server.script = [() => undefined];
  open();
});

afterEach(async () => {
  for (const one of attached.splice(0)) one.detach();
  await window.happyDOM.close();
  await server.stop();
});

function open(log = '<ul id="log"></ul>'): void {
  window = new Window({ url: "http://page.example/" });
  page = window.document as unknown as Document;
  page.body.innerHTML = `${log}<form><textarea></textarea><button>Send</button></form>
    <button id="stop"></button><button id="new"></button><p id="status"></p>`;
}

/** Anything in the page: its kind is plain from where it is used. */
const element = <Kind extends Element = any>(selector: string): Kind => page.querySelector<Kind>(selector)!;
const lines = (): string[] => [...page.querySelectorAll<HTMLElement>("[data-role]")].map(shown);
const shown = ({ dataset, firstChild }: HTMLElement): string => `${dataset.role} ${dataset.state}: ${firstChild!.textContent}`;

function live(store: Store | null = new MemoryStore(), others: Partial<AttachOptions> = {}): Attached {
  const one = attach({
    form: element<HTMLFormElement>("form"),
    input: element<HTMLTextAreaElement>("textarea"),
    log: element<HTMLElement>("#log"),
    stop: element<HTMLButtonElement>("#stop"),
    newChat: element<HTMLButtonElement>("#new"),
    status: element<HTMLElement>("#status"),
    url: server.url,
    environment: { WebSocket, storage: undefined },
    store,
    ...others,
  });
  attached.push(one);
  return one;
}

function say(text: string): void {
  element<HTMLTextAreaElement>("textarea").value = text;
  element("form").dispatchEvent(new window.Event("submit", { cancelable: true }) as unknown as Event);
}

const message = (id: string, parent: string | null, others: object = {}): object => ({
  id,
  parent,
  role: "user",
  content: id,
  status: "completed",
  generation: null,
  ref: null,
  ...others,
});

describe("a plain page", () => {
  test("shows a message at once, and its answer as it comes", async () => {
    server.onSend = (sent) => accepted(sent);
    server.script = [
      ({ frame }) => [started(), delta("1.2", "Hi"), end("1.3", "Hi")].forEach(frame),
    ];
    live();
    say("Hello");
    await until(() => lines()[0] === "user sending: Hello");
    await until(() => lines()[1] === "assistant completed: Hi");
    expect(lines()).toEqual(["user completed: Hello", "assistant completed: Hi"]);
    expect(element("#log").getAttribute("role")).toBe("log");
    expect(element("#status").textContent).toBe("Connected");
  });

  test("says how its messages look", async () => {
    open('<div id="log"><template><section><b data-text></b><i data-note></i><button data-retry></button></section></template></div>');
    server.onSend = (sent) => ({ type: "error", ref: sent.ref, ...problem(422) });
    live();
    await until(() => element("#status").textContent === "Connected");
    say("Hello");
    await until(() => element("section")?.getAttribute("data-state") === "failed");
    expect(element("section b").textContent).toBe("Hello");
    expect(element("section i").textContent).toBe("It is 422.");

    server.onSend = (sent) => accepted(sent);
    element<HTMLButtonElement>("[data-retry]").click();
    await until(() => element("section")?.getAttribute("data-state") === "completed");
    expect(page.querySelectorAll('section[data-role="user"]')).toHaveLength(1);
  });

  test("tells what is too long before it is sent", async () => {
    const one = live();
    await until(() => one.talk.limit === 100);
    say("x".repeat(103));
    expect(element<HTMLTextAreaElement>("textarea").validationMessage).toBe("3 characters too many");
    expect(element<HTMLTextAreaElement>("textarea").value).toHaveLength(103);
    // A sign outside the first plane is one character.
    expect(one.talk.excess("😀".repeat(100))).toBe(0);
    expect(server.sent.filter(({ type }) => type === "send")).toEqual([]);
  });

  test("stops what is being answered", async () => {
    server.onSend = (sent) => accepted(sent);
    server.script = [({ frame }) => [started(), delta("1.2", "Hi")].forEach(frame)];
    live();
    say("Hello");
    await until(() => lines()[1] === "assistant running: Hi");
    element<HTMLButtonElement>("#stop").click();
    await until(() => server.sent.some(({ type }) => type === "cancel"));
  });

  test("keeps its conversation over a reload, and reads on what is still being made", async () => {
    const store = new MemoryStore();
    store.setItem(`chatserver.conversation ${server.url}`, CONVERSATION);
    const answer = message("a", "q", { role: "assistant", content: "", status: "running", generation: GENERATION });
    server.handlers[`GET ${MESSAGES}`] = () => ({
      status: 200,
      body: { items: [message("q", null), answer], next_before: null, change: 7 },
    });
    server.script = [(reader) => (reader.after === "7" ? undefined : [started(), delta("1.2", "Hi"), end("1.3", "Hi")].forEach(reader.frame))];
    live(store);
    await until(() => lines()[1] === "assistant completed: Hi");
    expect(lines()[0]).toBe("user completed: q");
    expect(server.sent).toContainEqual(expect.objectContaining({ type: "watch", conversation: CONVERSATION, after: 7 }));
  });

  test("shows what somebody else says in its conversation", async () => {
    const store = new MemoryStore();
    store.setItem(`chatserver.conversation ${server.url}`, CONVERSATION);
    const items = [message("q", null)];
    server.handlers[`GET ${MESSAGES}`] = () => ({ status: 200, body: { items, next_before: null, change: 7 } });
    server.script = [
      ({ frame }) => {
        items.push(message("other", "q"));
        frame({ type: "message", conversation: CONVERSATION, id: 8, resource: items[1] });
      },
    ];
    live(store);
    await until(() => lines().length === 2);
    expect(lines()[1]).toBe("user completed: other");
  });

  test("begins anew where its conversation is gone, or by a button", async () => {
    const store = new MemoryStore();
    store.setItem(`chatserver.conversation ${server.url}`, CONVERSATION);
    server.handlers[`GET ${MESSAGES}`] = () => ({ status: 404, body: problem(404) });
    const one = live(store);
    await until(() => one.talk.conversation === null);
    expect([...store.kept.keys()].filter((key) => key.includes("conversation"))).toEqual([]);

    server.handlers[`GET ${MESSAGES}`] = empty;
    server.onSend = (sent) => accepted(sent);
    say("Hello");
    await until(() => lines()[0] === "user completed: Hello");
    element<HTMLButtonElement>("#new").click();
    await until(() => lines().length === 0);
  });

  test("does without storage that is refused", async () => {
    const refuse = (): never => {
      throw new Error("refused");
    };
    server.onSend = (sent) => accepted(sent);
    live({ getItem: refuse, setItem: refuse, removeItem: refuse });
    say("Hello");
    await until(() => lines()[0] === "user completed: Hello");
  });

  test("is as it was after it is detached", async () => {
    server.onSend = (sent) => accepted(sent);
    server.script = [({ frame }) => [started(), delta("1.2", "Hi")].forEach(frame)];
    const one = live();
    say("Hello");
    await until(() => lines().length === 2);
    one.detach();
    expect(lines()).toEqual([]);
    await until(() => server.sockets[0]!.readyState === WebSocket.CLOSED);
    say("again");
    expect(element<HTMLTextAreaElement>("textarea").value).toBe("again");
  });

  test("is told which of its parts isn't there", () => {
    expect(() => attach({ form: null as never, input: "#input", log: "#log" })).toThrow("form");
  });
});
