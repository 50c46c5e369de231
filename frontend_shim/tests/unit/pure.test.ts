/** The parts without a connection: waiting, joining, parsing, choosing, keeping. */

import { describe, expect, test } from "vitest";

import { backoff } from "../../src/backoff.ts";
import { joinAnswer, joinChanges, Listeners } from "../../src/backlog.ts";
import { surroundings } from "../../src/environment.ts";
import type { AnswerFrame, ConversationFrame } from "../../src/frames.ts";
import { Outbox } from "../../src/outbox.ts";
import { Reading } from "../../src/reading.ts";
import { Choice, TRANSPORTS } from "../../src/transports/choice.ts";
import { EventParser } from "../../src/transports/sse.ts";
import { HandClock, MemoryStore } from "./clock.ts";
import { delta, started } from "./scripted.ts";

describe("backoff", () => {
  test("doubles up to half a minute, with full jitter", () => {
    expect([0, 1, 2, 3, 4, 5, 6, 99].map((failures) => backoff(failures, () => 1) / 1000)).toEqual([1, 2, 4, 8, 16, 30, 30, 30]);
    expect(backoff(3, () => 0)).toBe(0);
    expect(backoff(3, () => 0.5)).toBe(4_000);
  });

  test("never comes before the server wants it", () => {
    expect(backoff(0, () => 0, 20)).toBe(20_000);
    expect(backoff(9, () => 1, 20)).toBe(21_000);
  });
});

describe("events", () => {
  const STREAM = 'event: hello\ndata: {"heartbeat":15}\n\n: a comment\nid: 1.2\nevent: delta\ndata: {"a":\ndata: 1}\n\ndata: x\n\n';
  const EVENTS = [
    { event: "hello", data: '{"heartbeat":15}' },
    { event: "delta", data: '{"a":\n1}' },
    { event: "", data: "x" },
  ];

  test.each(["\n", "\r\n", "\r"])("are found whatever ends a line: %j", (end) => {
    // A lone return at the very end may be half of a pair, so it waits for what follows.
    const text = `${STREAM.replaceAll("\n", end)}:`;
    expect([...new EventParser().feed(text)]).toEqual(EVENTS);
  });

  test.each([1, 2, 3, 7])("are found in pieces of %i", (size) => {
    const parser = new EventParser();
    const text = STREAM.replaceAll("\n", "\r\n");
    const pieces = text.match(new RegExp(`[^]{1,${size}}`, "g"))!;
    expect(pieces.flatMap((piece) => [...parser.feed(piece)])).toEqual(EVENTS);
  });

  test("a line without end is given up", () => {
    const parser = new EventParser();
    const feed = (): void => {
      for (let i = 0; i < 20; i++) Array.from(parser.feed("x".repeat(2 ** 20)));
    };
    expect(feed).toThrow("lost");
  });
});

describe("a reading", () => {
  test("knows a repeat even after hundreds of others", () => {
    const reading = new Reading();
    for (let i = 0; i < 1000; i++) reading.apply(delta(`1.${i}`, "x") as AnswerFrame);
    expect(reading.apply(delta("1.900", "x") as AnswerFrame)).toBe(false);
    expect(reading.text).toHaveLength(1000);
  });
});

describe("listeners", () => {
  const frames = (...texts: string[]): AnswerFrame[] => texts.map((text, i) => delta(`1.${i}`, text) as AnswerFrame);

  test("who is slow finds more text joined", async () => {
    const listeners = new Listeners<AnswerFrame>(joinAnswer);
    const listening = listeners.listen(() => [started() as AnswerFrame]);
    expect((await listening.next()).value).toMatchObject({ type: "started" });
    for (const frame of frames("a", "b", "c")) listeners.add(frame);
    listeners.finish();
    expect((await listening.next()).value).toMatchObject({ text: "abc", id: "1.2" });
    expect((await listening.next()).done).toBe(true);
  });

  test("a reset makes void what nobody has taken, of queue places the last counts", () => {
    const queued = (position: number): AnswerFrame => ({ type: "queued", generation: "g", position, eta_ms: null });
    const reset: AnswerFrame = { type: "reset", generation: "g", id: "2.0", reason: "attempt_failed" };
    expect([queued(3), queued(2)].reduce(joinAnswer, [] as AnswerFrame[])).toEqual([queued(2)]);
    expect([...frames("a"), reset].reduce(joinAnswer, [] as AnswerFrame[])).toEqual([reset]);
  });

  test("of each thing in a conversation its newest state is enough", () => {
    const change = (id: number, thing: string): ConversationFrame =>
      ({ type: "message", conversation: "c", id, resource: { id: thing } }) as ConversationFrame;
    const all = [change(1, "a"), change(2, "b"), change(3, "a")];
    expect(all.reduce(joinChanges, [] as ConversationFrame[])).toEqual([change(2, "b"), change(3, "a")]);
  });

  test("an error comes after the last frame", async () => {
    const listeners = new Listeners<AnswerFrame>(joinAnswer);
    listeners.finish(new Error("gone"));
    const listening = listeners.listen(() => frames("a"));
    expect((await listening.next()).value).toMatchObject({ text: "a" });
    await expect(listening.next()).rejects.toThrow("gone");
  });
});

describe("the choice of a transport", () => {
  const world = (storage = new MemoryStore(), clock = new HandClock()) => ({
    storage,
    clock,
    choose: (offered: readonly (typeof TRANSPORTS)[number][] = TRANSPORTS) =>
      new Choice(offered, { ...surroundings(), WebSocket: class {} as never, storage, clock }, "http://a/"),
  });

  test("begins with the best and goes down", () => {
    const choice = world().choose();
    expect(choice.current).toBe("websocket");
    expect([choice.leave("websocket"), choice.current]).toEqual([true, "sse"]);
    expect([choice.leave("websocket"), choice.current]).toEqual([true, "sse"]);
    expect([choice.leave("sse"), choice.current]).toEqual([true, "longpoll"]);
    expect([choice.leave("longpoll"), choice.current]).toEqual([false, "longpoll"]);
    expect(choice.better).toEqual(["websocket", "sse"]);
  });

  test("is remembered for a day", () => {
    const { choose, clock } = world();
    choose().works("longpoll");
    clock.advance(23 * 3600_000);
    expect(choose().current).toBe("longpoll");
    expect(choose(["sse"]).current).toBe("sse");
    clock.advance(3600_000);
    expect(choose().current).toBe("websocket");
  });

  test("looks for something better less and less often", () => {
    const choice = world().choose();
    choice.leave("websocket");
    const minutes = [1, 2, 3, 4, 5, 6, 7, 8].map(() => (choice.roseInVain(), choice.risesIn / 60_000));
    expect(minutes).toEqual([2, 4, 8, 16, 32, 60, 60, 60]);
  });

  test.each(["", "7", "null", '{"transport":"pigeon","until":1e99}', "{", '{"transport":"sse"}'])("ignores %j in the store", (kept) => {
    const { choose, storage } = world();
    storage.setItem("chatserver.transport http://a/", kept);
    expect(choose().current).toBe("websocket");
  });
});

describe("an outbox", () => {
  const turn = (ref: string) => ({ ref, conversation: "c", content: "x" });

  test("keeps what is unsent, in order, each once", () => {
    const store = new MemoryStore();
    const outbox = new Outbox(store, "box");
    for (const ref of ["a", "b", "c"]) outbox.put(turn(ref));
    outbox.put({ ...turn("b"), parent: "msg" });
    outbox.remove("a");
    expect(new Outbox(store, "box").turns).toEqual([{ ...turn("b"), parent: "msg" }, turn("c")]);
  });

  test("bears a store that refuses everything", () => {
    const refuse = (): never => {
      throw new DOMException("no", "SecurityError");
    };
    const outbox = new Outbox({ getItem: refuse, setItem: refuse, removeItem: refuse }, "box");
    outbox.put(turn("a"));
    expect(outbox.turns).toEqual([turn("a")]);
  });

  test("ignores what isn't a message", () => {
    const store = new MemoryStore();
    store.setItem("box", JSON.stringify([7, null, {}, { ref: "a", conversation: "c" }, turn("b")]));
    expect(new Outbox(store, "box").turns).toEqual([turn("b")]);
  });
});
