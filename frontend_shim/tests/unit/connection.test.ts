/** What all that is followed has in common: one connection, and whoever listens to it. */

import { WebSocket } from "ws";
import { describe, expect, test } from "vitest";

import { settle, until } from "./clock.ts";
import { CONVERSATION, delta, GENERATION } from "./scripted.ts";
import { begun, clock, open, server, whole } from "./stage.ts";

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
