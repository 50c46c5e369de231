/** Which way the client reads: found by trying, and remembered. */

import { describe, expect, test } from "vitest";

import { byEventSource } from "../../src/event-source.ts";
import { settle, until } from "./clock.ts";
import { delta, end, GENERATION, started } from "./scripted.ts";
import { begun, clock, open, rest, server, whole } from "./stage.ts";

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
