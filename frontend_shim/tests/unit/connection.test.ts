/** Which way the client reads, and how it comes back. */

import { WebSocket } from "ws";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { type Client, type ClientOptions, type Connection, createClient, type Environment } from "../../src/client.ts";
import { byEventSource } from "../../src/event-source.ts";
import { HandClock, MemoryStore, settle, Tab, until } from "./clock.ts";
import { type Act, CONVERSATION, delta, end, GENERATION, ScriptedServer, started } from "./scripted.ts";

let server: ScriptedServer;
let clock: HandClock;
let storage: MemoryStore;
let tab: Tab;
let network: EventTarget;
const clients: Client[] = [];

beforeEach(async () => {
  server = await ScriptedServer.start();
  clock = new HandClock();
  storage = new MemoryStore();
  tab = new Tab();
  network = new EventTarget();
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await server.stop();
});

function open(options: ClientOptions = {}, others: Partial<Environment> = {}): Client & { seen: string[] } {
  const environment = { WebSocket, clock, random: () => 0.5, storage, document: tab, network, ...others };
  const client = createClient({ url: server.url, ...options, environment });
  clients.push(client);
  const seen: string[] = [];
  client.on("connection", ({ state, transport }: Connection) => seen.push(`${state} ${transport}`));
  return Object.assign(client, { seen });
}

const whole: Act = ({ frame }) => [started(), delta("1.2", "Hi"), end("1.3", "Hi")].forEach(frame);
const begun: Act = ({ frame }) => [started(), delta("1.2", "Hi")].forEach(frame);
const rest: Act = ({ frame }) => frame(end("1.3", "Hi"));

describe("choosing", () => {
  test("a WebSocket that is blocked is left for events, which is remembered", async () => {
    server.blockWebSockets = true;
    server.script = [whole];
    const client = open();

    expect((await client.follow(GENERATION).whole).text).toBe("Hi");
    expect(client.seen).toEqual(["connecting websocket", "live sse"]);
    expect(open().connection.transport).toBe("sse");
  });

  test("one that opens and says nothing is left after three seconds", async () => {
    server.onSocket = () => false;
    server.script = [whole];
    const client = open();
    const answer = client.follow(GENERATION);
    await until(() => server.sockets.length === 1);
    await settle();

    clock.advance(2_900);
    await settle();
    expect(server.readers).toHaveLength(0);

    clock.advance(100);
    expect((await answer.whole).text).toBe("Hi");
    expect(client.connection.transport).toBe("sse");
  });

  test("events that a proxy holds back are left for polls after three seconds", async () => {
    server.bufferEvents = true;
    server.script = [() => undefined, whole];
    const client = open({ transports: ["sse", "longpoll"] });
    const answer = client.follow(GENERATION);
    await until(() => server.readers.length === 1);
    await settle();

    clock.advance(3_000);

    expect((await answer.whole).text).toBe("Hi");
    expect(server.readers.map(({ transport }) => transport)).toEqual(["sse", "longpoll"]);
  });

  test("a change of transport in mid-answer keeps the position", async () => {
    server.script = [(reader) => (begun(reader), reader.stall()), rest];
    const client = open({ transports: ["sse", "longpoll"] });
    const answer = client.follow(GENERATION);
    await until(() => answer.text === "Hi");

    clock.advance(40_000);

    expect((await answer.whole).text).toBe("Hi");
    expect(server.readers.map(({ transport, after }) => [transport, after])).toEqual([["sse", null], ["longpoll", "1.2"]]);
  });

  test("a better one is tried again later, beside the one that works", async () => {
    server.blockWebSockets = true;
    server.script = [begun, rest];
    const client = open();
    const answer = client.follow(GENERATION);
    await until(() => answer.text === "Hi");

    clock.advance(59_000 - 30_000);
    server.readers[0]!.heartbeat();
    await settle();
    server.blockWebSockets = false;
    clock.advance(31_000);

    expect((await answer.whole).text).toBe("Hi");
    expect(client.connection).toMatchObject({ state: "live", transport: "websocket" });
    expect(server.readers[1]).toMatchObject({ transport: "websocket", after: "1.2" });
    expect(open().connection.transport).toBe("websocket");
  });

  test("from polls events are tried where no WebSocket can be had", async () => {
    server.bufferEvents = true;
    server.script = [() => undefined, begun, ({ stall }) => stall(), rest];
    const client = open({ transports: ["sse", "longpoll"] });
    const answer = client.follow(GENERATION);
    await until(() => server.readers.length === 1);
    await settle();
    clock.advance(3_000);
    await until(() => server.readers.length === 3);

    server.bufferEvents = false;
    // Meanwhile the poll that nobody answered is over too.
    clock.advance(60_000);
    await until(() => client.connection.state === "waiting");
    clock.advance(500);

    expect((await answer.whole).text).toBe("Hi");
    expect(client.connection.transport).toBe("sse");
  });

  test("without a WebSocket, as in Node 20, events are the first choice", async () => {
    server.script = [whole];
    const client = open({}, { WebSocket: undefined });

    expect((await client.follow(GENERATION).whole).text).toBe("Hi");
    expect(client.connection.transport).toBe("sse");
  });

  test("an EventSource reads where it is asked for", async () => {
    server.script = [whole];
    const opened: string[] = [];
    class Source extends EventTarget {
      constructor(url: string) {
        super();
        opened.push(url);
        const say = (type: string, data: object): boolean => this.dispatchEvent(Object.assign(new Event(type), { data: JSON.stringify(data) }));
        queueMicrotask(() => {
          say("hello", { heartbeat: 15 });
          [started(), delta("1.2", "Hi"), end("1.3", "Hi")].forEach((frame: any) => say(frame.type, frame));
        });
      }
      close(): void {}
    }
    const auth = () => ({ headers: { Authorization: "Bearer key" } });
    const client = open({ transports: ["sse"], events: byEventSource(Source), auth });

    expect((await client.follow(GENERATION).whole).text).toBe("Hi");
    expect(opened).toEqual([`${server.url}api/v1/generations/${GENERATION}/events?ticket=fresh`]);
    expect(server.called("tickets")[0]!.body).toEqual({ generation: GENERATION });
  });

  test("what was remembered isn't believed for ever: storage that refuses does no harm", async () => {
    server.script = [whole];
    const refuse = (): never => {
      throw new DOMException("no", "SecurityError");
    };
    const client = open({}, { storage: { getItem: refuse, setItem: refuse, removeItem: refuse } });
    expect((await client.follow(GENERATION).whole).text).toBe("Hi");
  });
});

describe("coming back", () => {
  const connected = async (client: Client): Promise<void> => {
    client.connect();
    await until(() => client.connection.state === "live");
  };

  test("the pauses between tries grow, and `online` ends one", async () => {
    const client = open({ transports: ["websocket"] });
    await connected(client);
    server.blockWebSockets = true;
    server.handlers["GET models"] = () => ({ status: 503, body: {} });
    server.sockets[0]!.terminate();

    let last = 0;
    for (const pause of [500, 1_000, 2_000, 4_000]) {
      await until(() => client.connection.state === "waiting" && client.connection.until! > last);
      last = client.connection.until!;
      expect(last - clock.now()).toBe(pause);
      if (pause < 4_000) clock.advance(pause);
    }
    server.blockWebSockets = false;
    network.dispatchEvent(new Event("online"));
    await until(() => client.connection.state === "live");
  });

  test.each([1001, 1012])("after close code %i it goes elsewhere at once", async (code) => {
    const client = open();
    await connected(client);
    server.sockets[0]!.close(code);
    await until(() => server.sockets.length === 2);
    await until(() => client.connection.state === "live");
    expect(client.seen).not.toContain("waiting websocket");
  });

  test("a server that always sends elsewhere isn't asked without pause", async () => {
    server.onSocket = (socket) => void setTimeout(() => socket.close(1012), 1);
    const client = open();
    client.connect();
    await until(() => client.connection.state === "waiting");
    expect(server.sockets).toHaveLength(2);
  });

  test.each([1013, 4429])("after close code %i it keeps away for a while", async (code) => {
    const client = open();
    await connected(client);
    server.sockets[0]!.close(code);
    await until(() => client.connection.state === "waiting");
    expect(client.connection.until! - clock.now()).toBeGreaterThanOrEqual(5_000);
    // Hope doesn't count against what the server asked for.
    network.dispatchEvent(new Event("online"));
    await settle();
    expect(server.sockets).toHaveLength(1);
  });

  test("4401 asks for a fresh ticket, once", async () => {
    server.onSocket = (socket) => {
      if (server.sockets.length === 2) return;
      socket.close(4401);
      return false;
    };
    const asked: boolean[] = [];
    const client = open({ auth: (refused) => (asked.push(refused), { ticket: `ticket${asked.length}` }) });
    await connected(client);
    expect(server.tickets).toEqual(["ticket1", "ticket2"]);
    expect(asked).toEqual([false, true]);
  });

  test("a ticket is for one opening", async () => {
    const asked: boolean[] = [];
    const client = open({ auth: (refused) => (asked.push(refused), { ticket: `ticket${asked.length}` }) });
    await connected(client);
    server.sockets[0]!.close(1012);
    await until(() => server.sockets.length === 2);
    expect(server.tickets).toEqual(["ticket1", "ticket2"]);
  });

  test("4403 stops, until it is told to connect", async () => {
    server.onSocket = (socket) => (socket.close(4403), false);
    const client = open();
    await expect(client.follow(GENERATION).whole).rejects.toMatchObject({ status: 403 });
    expect(client.connection.state).toBe("stopped");
    await expect(client.follow(GENERATION).whole).rejects.toMatchObject({ status: 403 });

    network.dispatchEvent(new Event("online"));
    clock.advance(3600_000);
    await settle();
    expect(server.sockets).toHaveLength(1);

    server.onSocket = () => undefined;
    client.connect();
    await until(() => client.connection.state === "live");
  });

  test("a WebSocket that has worked isn't given up for one that failed in a restart", async () => {
    const client = open();
    await connected(client);
    server.blockWebSockets = true;
    server.sockets[0]!.terminate();
    await until(() => client.connection.state === "waiting");
    clock.advance(500);
    await until(() => client.connection.state === "waiting");
    server.blockWebSockets = false;
    clock.advance(2_000);
    await until(() => client.connection.state === "live");
    expect(client.connection.transport).toBe("websocket");
  });

  test("a server that isn't there makes nobody give WebSockets up", async () => {
    const client = open();
    await server.stop();
    client.connect();
    for (let i = 0; i < 4; i++) {
      await until(() => client.connection.state === "waiting");
      clock.advance(30_000);
    }
    expect(client.connection.transport).toBe("websocket");
    server = await ScriptedServer.start();
  });
});

describe("a page that nobody sees", () => {
  test.each(["sse", "longpoll"] as const)("lets its %s go, and goes on at its position", async (transport) => {
    server.script = [begun, ({ stall }) => stall(), rest];
    if (transport === "sse") server.script.splice(1, 1);
    const client = open({ transports: [transport] });
    const answer = client.follow(GENERATION);
    await until(() => server.readers.length === server.script.length - 1);
    await until(() => answer.text === "Hi");

    tab.hide(true);
    expect(client.connection.state).toBe("paused");
    clock.advance(600_000);
    await settle();
    expect(server.readers).toHaveLength(server.script.length - 1);

    tab.hide(false);
    expect((await answer.whole).text).toBe("Hi");
    expect(server.readers.at(-1)!.after).toBe("1.2");
  });

  test("keeps its WebSocket", async () => {
    server.script = [begun];
    const client = open();
    const answer = client.follow(GENERATION);
    await until(() => answer.text === "Hi");
    tab.hide(true);
    server.readers[0]!.frame(end("1.3", "Hi"));
    expect((await answer.whole).text).toBe("Hi");
  });

  test("that comes back while it waits tries at once", async () => {
    const client = open();
    client.connect();
    await until(() => client.connection.state === "live");
    server.sockets[0]!.terminate();
    await until(() => client.connection.state === "waiting");
    tab.hide(true);
    tab.hide(false);
    await until(() => client.connection.state === "live");
  });
});

describe("many at once", () => {
  test("share one WebSocket", async () => {
    server.script = [begun];
    const client = open();
    const answers = [client.follow("gen_1"), client.follow("gen_2"), client.follow("gen_1")];
    void client.watch(CONVERSATION)[Symbol.asyncIterator]().next();
    await until(() => server.sent.length === 3);
    expect(server.sockets).toHaveLength(1);
    expect(answers[0]).toBe(answers[2]);
    expect(server.sent.map(({ type }) => type)).toEqual(["subscribe", "subscribe", "watch"]);
  });

  test("who leaves is forgotten, and what still comes is no surprise", async () => {
    server.script = [begun];
    const client = open();
    const reports: unknown[] = [];
    client.on("report", (report) => reports.push(report));
    const answer = client.follow(GENERATION);
    await until(() => answer.text === "Hi");
    answer.leave();
    await expect(answer.whole).rejects.toMatchObject({ name: "Withdrawn" });
    server.readers[0]!.frame(delta("1.3", "late"));
    await until(() => server.sent.some(({ type }) => type === "unsubscribe"));
    await settle();
    server.readers[0]!.frame(delta("1.4", "later"));
    await settle();
    expect(reports).toEqual([]);
    expect(answer.text).toBe("Hi");
  });

  test("closing ends everything at once", async () => {
    server.script = [begun];
    const client = open();
    const answer = client.follow(GENERATION);
    await until(() => answer.text === "Hi");
    client.close();
    await until(() => server.sockets[0]!.readyState === WebSocket.CLOSED);
    expect(clock.waiting).toEqual([]);
    await expect(answer.whole).rejects.toMatchObject({ name: "Lost" });
    await expect(client.follow(GENERATION).whole).rejects.toMatchObject({ name: "Lost" });
  });
});

describe("what others do wrong", () => {
  test("a listener that throws disturbs nobody", async () => {
    const thrown: unknown[] = [];
    const note = (error: unknown): void => void thrown.push(error);
    const usual = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException").on("uncaughtException", note);
    try {
      server.script = [whole];
      const client = open();
      const quiet = client.on("connection", () => {
        throw new Error("mine");
      });
      expect((await client.follow(GENERATION).whole).text).toBe("Hi");
      quiet();
      await settle();
      expect(thrown.length).toBeGreaterThan(0);
    } finally {
      process.removeListener("uncaughtException", note);
      for (const listener of usual) process.on("uncaughtException", listener);
    }
  });

  test.each(["websocket", "longpoll"] as const)("over %s, who can't say who they are is asked again", async (transport) => {
    let asked = 0;
    const auth = async (): Promise<{ headers: Record<string, string> }> => {
      if (++asked === 1) throw new TypeError("no network");
      return { headers: { Authorization: "Bearer key" } };
    };
    server.script = [whole];
    const client = open({ transports: [transport], auth });
    const { whole: text } = client.follow(GENERATION);
    await until(() => client.connection.state === "waiting");
    clock.advance(500);
    expect(await text).toMatchObject({ text: "Hi" });
    expect(asked).toBe(2);
  });
});

describe("watching", () => {
  const change = (id: number, thing: string): object => ({ type: "message", conversation: CONVERSATION, id, resource: { id: thing } });

  test.each(["websocket", "sse", "longpoll"] as const)("over %s each change comes once", async (transport) => {
    server.script = [
      ({ frame }) => [change(5, "a"), change(6, "b"), change(6, "b"), change(5, "a")].forEach(frame),
      ({ frame }) => frame({ type: "deleted", conversation: CONVERSATION, id: 9 }),
    ];
    if (transport !== "longpoll") {
      const act = server.script[0]!;
      server.script[0] = (reader) => (act(reader), reader.cut());
    }
    const client = open({ transports: [transport] });
    const seen: unknown[] = [];
    const over = (async () => {
      for await (const frame of client.watch(CONVERSATION, 4)) seen.push([frame.type, frame.id]);
    })();
    if (transport !== "longpoll") {
      await until(() => client.connection.state === "waiting");
      clock.advance(500);
    }
    await over;

    expect(seen).toEqual([["message", 5], ["message", 6], ["deleted", 9]]);
    expect(server.readers.map(({ after }) => Number(after))).toEqual([4, 6]);
  });

  test("who has enough while nothing comes lets it go too", async () => {
    server.script = [() => undefined];
    const client = open();
    const changes = client.watch(CONVERSATION)[Symbol.asyncIterator]();
    const next = changes.next();
    await until(() => server.readers.length === 1);
    await changes.return!();
    expect(await next).toEqual({ done: true, value: undefined });
    await until(() => server.sent.some(({ type }) => type === "unwatch"));
  });

  test("closing ends it", async () => {
    server.script = [() => undefined];
    const client = open();
    const over = (async () => {
      for await (const _ of client.watch(CONVERSATION));
    })();
    await until(() => server.readers.length === 1);
    client.close();
    await over;
  });

  test("who has enough lets it go", async () => {
    server.script = [({ frame }) => frame(change(5, "a"))];
    const client = open();
    for await (const frame of client.watch(CONVERSATION)) {
      expect(frame.id).toBe(5);
      break;
    }
    await until(() => server.sent.some(({ type }) => type === "unwatch"));
  });
});
