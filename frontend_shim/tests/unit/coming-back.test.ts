/** When the client comes back, and when it rests. */

import { describe, expect, test } from "vitest";

import type { Client } from "../../src/client.ts";
import { settle, until } from "./clock.ts";
import { end, GENERATION } from "./scripted.ts";
import { begun, clock, network, open, rest, server, startServer, tab } from "./stage.ts";

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
    await startServer();
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
