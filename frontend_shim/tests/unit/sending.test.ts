/** Messages: in order, each once, whatever happens on the way. */

import { WebSocket } from "ws";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { type Client, type ClientOptions, createClient } from "../../src/client.ts";
import { HandClock, MemoryStore, settle, until } from "./clock.ts";
import { accepted, CONVERSATION, end, GENERATION, problem, ScriptedServer } from "./scripted.ts";

let server: ScriptedServer;
let clock: HandClock;
const clients: Client[] = [];
const PATH = `conversations/${CONVERSATION}/messages`;

beforeEach(async () => {
  server = await ScriptedServer.start();
  clock = new HandClock();
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await server.stop();
});

function open(options: ClientOptions = {}): Client {
  const environment = { WebSocket, clock, random: () => 0.5, storage: new MemoryStore() };
  const client = createClient({ url: server.url, ...options, environment });
  clients.push(client);
  return client;
}

async function live(options: ClientOptions = {}): Promise<Client> {
  const client = open(options);
  client.connect();
  await until(() => client.connection.state === "live");
  return client;
}

/** Each turn gets a generation of its own, which ends when the test says so. */
function number(turns: any[]): (message: any) => any {
  return (message) => {
    turns.push(message);
    return accepted(message, `gen_${turns.length}`);
  };
}

describe("over a WebSocket", () => {
  test("a message is accepted, and its answer follows without being asked for", async () => {
    server.script = [({ frame }) => frame(end("1.1", ""))];
    const client = await live();
    const answer = client.send(CONVERSATION, "Hello", { parent: null, model: "m" });

    expect((await answer.accepted).generation.id).toBe(GENERATION);
    expect((await answer.whole).reason).toBe("completed");
    expect(server.sent).toEqual([
      { type: "send", ref: answer.ref, conversation: CONVERSATION, content: "Hello", parent: null, model: "m" },
    ]);
    expect(client.unsent).toEqual([]);
  });

  test("one whose acceptance is lost is sent again under the same ref", async () => {
    server.onSend = (_, socket) => (socket.terminate(), null);
    const client = await live();
    const answer = client.send(CONVERSATION, "Hello");
    await until(() => server.sent.length === 1 && client.connection.state === "waiting");
    clock.advance(1_000);
    await answer.accepted;

    const again = server.called(PATH)[0] ?? server.sent[1];
    expect(again.key ?? again.ref).toBe(answer.ref);
    expect(server.sent[0].ref).toBe(answer.ref);
  });

  test("one that is too large for the server isn't sent for ever", async () => {
    server.onSend = (_, socket) => (socket.close(1009), null);
    const client = await live();
    await expect(client.send(CONVERSATION, "Hello").whole).rejects.toMatchObject({ code: "too_large" });
    expect(server.sent).toHaveLength(1);
    expect(client.unsent).toEqual([]);
  });

  test("cancelling goes over it too", async () => {
    server.script = [() => undefined];
    const client = await live();
    const answer = client.send(CONVERSATION, "Hello");
    await answer.accepted;
    await answer.cancel();
    expect(server.sent.at(-1)).toMatchObject({ type: "cancel", generation: GENERATION });
  });
});

describe("over HTTP", () => {
  const options: ClientOptions = { transports: ["sse"] };

  test("the ref is the idempotency key", async () => {
    server.script = [({ frame }) => frame(end("1.1", ""))];
    const client = open(options);
    const answer = client.send(CONVERSATION, "Hello");
    await answer.whole;
    expect(server.called(PATH)).toMatchObject([{ key: answer.ref, body: { content: "Hello" } }]);
  });

  test.each([429, 503])("%i is obeyed and the message goes out once more", async (status) => {
    let refusals = 1;
    server.handlers[`POST ${PATH}`] = (body) =>
      refusals-- > 0 ? { status, body: problem(status, 9) } : { status: 202, body: accepted(body) };
    const client = open(options);
    const answer = client.send(CONVERSATION, "Hello");
    await until(() => clock.waiting.includes(9_500));
    expect(client.unsent).toEqual([answer]);

    clock.advance(9_500);
    await answer.accepted;
    expect(server.called(PATH).map(({ key }) => key)).toEqual([answer.ref, answer.ref]);
  });

  test("a message that is refused for good is told so, and the next one goes", async () => {
    server.handlers[`POST ${PATH}`] = (body) =>
      body.content === "bad" ? { status: 422, body: problem(422) } : { status: 202, body: accepted(body) };
    const client = open(options);
    const [bad, good] = [client.send(CONVERSATION, "bad"), client.send(CONVERSATION, "good")];
    await expect(bad.accepted).rejects.toMatchObject({ status: 422 });
    await expect(bad.whole).rejects.toMatchObject({ status: 422 });
    await good.accepted;
  });

  test("it waits for an answer that was asked for elsewhere", async () => {
    let busy = true;
    server.handlers[`POST ${PATH}`] = (body) =>
      busy
        ? { status: 409, body: { ...problem(409), code: "turn_in_progress", generation: "gen_other" } }
        : { status: 202, body: accepted(body) };
    server.script = [
      ({ frame }) => {
        busy = false;
        frame(end("1.1", "", "gen_other"));
      },
      ({ frame }) => frame(end("1.1", "")),
    ];
    const client = open(options);
    expect((await client.send(CONVERSATION, "Hello").whole).reason).toBe("completed");
    expect(server.called(PATH)).toHaveLength(2);
  });

  test("a page elsewhere fetches a ticket first, so that it is known", async () => {
    server.handlers["GET conversations"] = () =>
      server.called("tickets").length > 0
        ? { status: 200, body: { items: [], next_cursor: null } }
        : { status: 401, body: problem(401) };
    expect((await open(options).conversations()).items).toEqual([]);
    expect(server.calls.map(({ path }) => path)).toEqual(["conversations", "tickets", "conversations"]);
  });

  test("calls at the same time fetch one between them: each would be another visitor", async () => {
    server.handlers["GET conversations"] = () =>
      server.called("tickets").length > 0
        ? { status: 200, body: { items: [], next_cursor: null } }
        : { status: 401, body: problem(401) };
    const client = open(options);
    await Promise.all([client.conversations(), client.conversations(), client.conversations()]);
    expect(server.called("tickets")).toHaveLength(1);
  });
});

describe("order", () => {
  test("a message waits until the answer before it has ended, and follows it", async () => {
    const turns: any[] = [];
    server.onSend = number(turns);
    server.script = [() => undefined];
    const client = await live();
    const answers = ["one", "two", "three"].map((text) => client.send(CONVERSATION, text));
    const elsewhere = client.send("conv_2", "beside");
    await elsewhere.accepted;
    await settle();
    expect(turns.map(({ content }) => content)).toEqual(["one", "beside"]);

    server.readers[0]!.frame(end("1.1", "", answers[0]!.generation!));
    const first = await answers[0]!.accepted;
    await answers[1]!.accepted;
    expect(turns.map(({ content }) => content)).toEqual(["one", "beside", "two"]);
    expect(turns[2].parent).toBe(first.generation.message);
    expect(client.unsent).toEqual([answers[2]]);
  });

  test("one that waits can be taken back", async () => {
    server.script = [() => undefined];
    const unsent = new MemoryStore();
    const client = await live({ unsent });
    const [first, second] = [client.send(CONVERSATION, "one"), client.send(CONVERSATION, "two")];
    await first!.accepted;
    await second!.cancel();
    await expect(second!.accepted).rejects.toMatchObject({ name: "Withdrawn" });
    expect(client.unsent).toEqual([]);
    expect([...unsent.kept.values()]).toEqual(["[]"]);
  });

  test("what isn't accepted yet outlives a reload, in order and under the same refs", async () => {
    const unsent = new MemoryStore();
    server.handlers[`POST ${PATH}`] = () => ({ status: 503, body: problem(503) });
    const before = open({ transports: ["longpoll"], unsent });
    const refs = ["one", "two"].map((text) => before.send(CONVERSATION, text).ref);
    await until(() => server.called(PATH).length > 0);
    before.close();
    await settle();

    server.calls.length = 0;
    delete server.handlers[`POST ${PATH}`];
    server.script = [({ frame }) => frame(end("1.1", ""))];
    const after = open({ transports: ["longpoll"], unsent });
    expect(after.unsent.map(({ ref, turn }) => [ref, turn!.content])).toEqual([[refs[0], "one"], [refs[1], "two"]]);
    await Promise.all(after.unsent.map(({ whole }) => whole));
    expect(server.called(PATH).map(({ key, body }) => [key, body.content])).toEqual([[refs[0], "one"], [refs[1], "two"]]);
    expect([...unsent.kept.values()]).toEqual(["[]"]);
  });

  test("after closing nothing is sent, and what wasn't stays in its store", async () => {
    const unsent = new MemoryStore();
    server.handlers[`POST ${PATH}`] = () => ({ status: 503, body: problem(503) });
    const client = open({ transports: ["longpoll"], unsent });
    const [first, second] = ["one", "two"].map((text) => client.send(CONVERSATION, text));
    await until(() => server.called(PATH).length === 1);
    await settle();
    client.close();
    await expect(first!.accepted).rejects.toMatchObject({ name: "Lost" });
    await expect(second!.accepted).rejects.toMatchObject({ name: "Lost" });
    expect(server.called(PATH)).toHaveLength(1);
    expect(JSON.parse([...unsent.kept.values()][0]!)).toHaveLength(2);
  });

  test("more than anybody types is refused", async () => {
    const client = open();
    for (let i = 0; i < 100; i++) client.send(CONVERSATION, "x");
    await expect(client.send(CONVERSATION, "x").accepted).rejects.toMatchObject({ code: "too_many_unsent" });
  });
});

describe("other calls", () => {
  test("have the paths of the server", async () => {
    const client = open({ transports: ["longpoll"] });
    const tried = [
      client.conversations({ q: "a b", limit: 5 }),
      client.create({ title: "T" }),
      client.conversation("c/1"),
      client.rename("c", "New"),
      client.delete("c"),
      client.messages("c", { before: "m" }),
      client.context("c"),
      client.models(),
      client.generation("g"),
    ];
    await Promise.allSettled(tried);
    expect(server.calls.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
      "DELETE conversations/c", "GET conversations", "GET conversations/c%2F1", "GET conversations/c/context",
      "GET conversations/c/messages", "GET generations/g", "GET models", "PATCH conversations/c", "POST conversations",
    ]);
    expect(client.exportLink("c", "json")).toBe(`${server.url}api/v1/conversations/c/export?format=json`);
  });

  test.each([
    ["regenerate", (client: Client) => client.regenerate("c", "msg_1"), "POST conversations/c/regenerate", { message: "msg_1" }],
    ["retry", (client: Client) => client.retry("g"), "POST generations/g/retry", {}],
  ])("%s gives another answer", async (_, ask, call, body) => {
    server.handlers[call] = () => ({ status: 202, body: accepted({}) });
    server.script = [({ frame }) => frame(end("1.1", ""))];
    const client = open({ transports: ["sse"] });
    const answer = ask(client);
    const { generation } = await answer.accepted;
    // Whoever follows it besides gets the same one: a WebSocket carries each answer once.
    expect(client.follow(generation.id)).toBe(answer);
    expect((await answer.whole).reason).toBe("completed");
    expect(server.calls[0]!.body).toEqual(body);
    expect(server.calls[0]!.key).toHaveLength(32);
  });

  test("a call that nobody answers fails in the end", async () => {
    const client = open({ transports: ["longpoll"] });
    await server.stop();
    await expect(client.models()).rejects.toMatchObject({ name: "Lost" });
    server = await ScriptedServer.start();
  });
});
