/** What others change in a conversation. */

import { describe, expect, test } from "vitest";

import { until } from "./clock.ts";
import { CONVERSATION } from "./scripted.ts";
import { clock, open, server } from "./stage.ts";

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
