/** What networks, proxies and servers do to a stream: on each transport the answer arrives whole and once. */

import { WebSocket } from "ws";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { type Client, createClient, type Report, type Transport } from "../../src/client.ts";
import { HandClock, MemoryStore, settle, until } from "./clock.ts";
import { type Act, delta, end, GENERATION, type Reader, ScriptedServer, started } from "./scripted.ts";

const TEXT = "Hello, world";

let server: ScriptedServer;
let clock: HandClock;
let client: Client;
let reports: Report[];

beforeEach(async () => {
  server = await ScriptedServer.start();
  clock = new HandClock();
});

afterEach(async () => {
  client.close();
  await server.stop();
});

function connect(transports: Transport[], auth?: (refused: boolean) => { headers: Record<string, string> }): void {
  const environment = { WebSocket, clock, random: () => 0.5, storage: new MemoryStore() };
  client = createClient({ url: server.url, transports, environment, ...(auth && { auth }) });
  reports = [];
  client.on("report", (report) => reports.push(report));
}

/** What a healthy server gives from a position on. */
const rest: Act = (reader) => {
  const frames = [started(), delta("1.2", "Hello"), delta("1.3", ", "), delta("1.4", "world"), end("1.5", TEXT)];
  const seen = reader.after === null ? 0 : frames.findIndex((frame: any) => frame.id === reader.after) + 1;
  for (const frame of frames.slice(seen)) reader.frame(frame);
};

const half = (reader: Reader): void => {
  reader.frame(started());
  reader.frame(delta("1.2", "Hello"));
};

async function whole(): Promise<string> {
  const { text, verified } = await client.follow(GENERATION).whole;
  expect(verified).toBe(true);
  return text;
}

/** The time that a client waits before its second try has passed. */
async function afterThePause(): Promise<void> {
  await until(() => client.connection.state === "waiting");
  clock.advance(500);
}

describe.each<Transport>(["websocket", "sse", "longpoll"])("over %s", (transport) => {
  const isSocket = transport === "websocket";

  test("an answer arrives", async () => {
    server.script = [rest];
    connect([transport]);

    expect(await whole()).toBe(TEXT);
    expect(client.connection).toMatchObject({ state: "live", transport });
    expect(reports).toEqual([]);
  });

  test("a connection that is cut is taken up at its position", async () => {
    server.script = [
      half,
      (reader) => reader.cut(),
      rest,
    ];
    if (transport !== "longpoll") server.script.splice(0, 2, (reader) => (half(reader), reader.cut()));
    connect([transport]);

    const text = whole();
    await afterThePause();

    expect(await text).toBe(TEXT);
    expect(server.readers.at(-1)!.after).toBe("1.2");
    expect(reports).toEqual([]);
  });

  test("one that stalls is left and taken up at its position", async () => {
    server.script = [(reader) => (half(reader), reader.stall()), rest];
    if (transport === "longpoll") server.script.unshift(half);
    connect([transport]);

    const answer = client.follow(GENERATION);
    await until(() => server.readers.length === server.script.length - 1);
    if (transport !== "longpoll") await until(() => answer.text === "Hello");
    await settle();
    clock.advance(isSocket ? 31_000 : 38_000);
    await afterThePause();

    expect((await answer.whole).text).toBe(TEXT);
    expect(server.readers.at(-1)!.after).toBe("1.2");
  });

  test("one that trickles is read as it comes", async () => {
    server.chunk = 1;
    server.script = [
      (reader) => {
        const letters = [...TEXT].map((letter, i) => delta(`1.${i + 2}`, letter));
        for (const frame of [started(), ...letters, end("1.99", TEXT)]) reader.frame(frame);
      },
    ];
    connect([transport]);

    expect(await whole()).toBe(TEXT);
  });

  test("frames that come twice count once", async () => {
    server.script = [(reader) => rest({ ...reader, frame: (frame) => (reader.frame(frame), reader.frame(frame)) })];
    connect([transport]);

    expect(await whole()).toBe(TEXT);
    expect(server.readers).toHaveLength(1);
    expect(reports).toEqual([]);
  });

  test("frames in the wrong order show in the hash, and the whole is read again", async () => {
    server.script = [
      (reader) => [started(), delta("1.3", ", "), delta("1.2", "Hello"), delta("1.4", "world"), end("1.5", TEXT)].forEach(reader.frame),
      rest,
    ];
    connect([transport]);

    expect(await whole()).toBe(TEXT);
    expect(server.readers.map(({ after }) => after)).toEqual([null, null]);
    expect(reports).toEqual([{ kind: "mismatch", about: GENERATION }]);
  });

  test("a text that never fits its hash is given once more and then as it is", async () => {
    server.script = [(reader) => [started(), end("1.2", "another")].forEach(reader.frame)];
    connect([transport]);

    expect(await client.follow(GENERATION).whole).toMatchObject({ text: "", verified: false });
    expect(server.readers).toHaveLength(2);
    expect(reports).toHaveLength(2);
  });

  test("heartbeats alone keep a connection", async () => {
    server.script = [half, () => undefined];
    connect([transport]);
    const answer = client.follow(GENERATION);
    await until(() => answer.text === "Hello");

    for (let i = 0; i < 10; i++) {
      server.readers[0]!.heartbeat();
      await settle();
      clock.advance(9_000);
    }
    await settle();

    expect(client.connection.state).toBe("live");
    if (transport !== "longpoll") expect(server.readers).toHaveLength(1);
    expect(isSocket ? server.sockets.length : 1).toBe(1);
  });

  test("a server that has nothing more to say is read from the start once", async () => {
    server.script = [half, (reader) => reader.over(), rest];
    if (transport !== "longpoll") server.script.splice(0, 1, (reader) => (half(reader), reader.cut()));
    connect([transport]);

    const text = whole();
    if (transport !== "longpoll") await afterThePause();

    expect(await text).toBe(TEXT);
    expect(server.readers.map(({ after }) => after)).toEqual([null, "1.2", null]);
  });

  test("who isn't known is asked who they are, once", async () => {
    let known = false;
    server.script = [(reader) => (known ? rest(reader) : (reader.refuse(401), (known = true)))];
    const asked: boolean[] = [];
    connect([transport], (refused) => (asked.push(refused), { headers: { "X-Key": refused ? "new" : "old" } }));

    expect(await whole()).toBe(TEXT);
    expect(asked).toEqual([false, true]);
    if (isSocket) expect(server.tickets).toEqual(["fresh", "fresh"]);
  });

  test("who remains unknown is told so", async () => {
    server.script = [(reader) => reader.refuse(401)];
    connect([transport]);

    await expect(client.follow(GENERATION).whole).rejects.toMatchObject({ name: "Problem", status: 401 });
    expect(client.connection.state).toBe("stopped");
    expect(server.readers).toHaveLength(2);
  });

  test.each([429, 503])("%i is obeyed: nothing is asked before Retry-After", async (status) => {
    server.script = [(reader) => reader.refuse(status, 7), rest];
    connect([transport]);
    const text = whole();
    await until(() => server.readers.length === 1);
    await until(() => clock.waiting.includes(7_500));

    clock.advance(7_400);
    await settle();
    expect(server.readers).toHaveLength(1);

    clock.advance(100);
    expect(await text).toBe(TEXT);
  });

  test("a frame that can't be read is ignored, reported once, and made good by the hash", async () => {
    server.script = [
      (reader) => {
        half(reader);
        reader.raw("{broken");
        reader.raw("{broken");
      },
      rest,
    ];
    // A poll is one JSON text: broken, it is no answer at all.
    if (transport === "longpoll") server.script[0] = (reader) => (half(reader), reader.raw('{"type":7}'));
    const act = server.script[0]!;
    server.script[0] = (reader) => (act(reader), reader.frame(delta("1.4", "world")), reader.frame(end("1.5", TEXT)));
    connect([transport]);

    expect(await whole()).toBe(TEXT);
    expect(reports.map(({ kind }) => kind)).toEqual(["broken_frame", "mismatch"]);
  });

  test("frames of other kinds are ignored and reported once", async () => {
    server.script = [
      (reader) => {
        reader.frame({ type: "surprise", generation: GENERATION, id: "1.0" });
        reader.frame({ type: "delta", generation: "gen_other", id: "1.0", channel: "answer", text: "x" });
        rest(reader);
      },
    ];
    connect([transport]);

    expect(await whole()).toBe(TEXT);
    expect(reports.map(({ kind }) => kind)).toEqual(["foreign_frame"]);
  });

  test("a reset begins again", async () => {
    server.script = [
      (reader) => {
        half(reader);
        reader.frame({ type: "reset", generation: GENERATION, id: "2.0", reason: "attempt_failed" });
        [started("2.1"), delta("2.2", TEXT), end("2.3", TEXT)].forEach(reader.frame);
      },
    ];
    connect([transport]);

    expect(await whole()).toBe(TEXT);
  });

  test("what isn't there can't be followed", async () => {
    server.script = [(reader) => (isSocket ? reader.refuse(404, 1) : reader.refuse(404))];
    connect([transport]);

    await expect(client.follow(GENERATION).whole).rejects.toMatchObject({ status: 404 });
    expect(server.readers).toHaveLength(1);
  });
});
