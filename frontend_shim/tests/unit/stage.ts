/** A scripted server, a clock, a tab and a network of its own for each test, and clients that are closed after it. */

import { WebSocket } from "ws";
import { afterEach, beforeEach } from "vitest";

import { type Client, type ClientOptions, type Connection, createClient, type Environment } from "../../src/client.ts";
import { HandClock, MemoryStore, Tab } from "./clock.ts";
import { type Act, delta, end, ScriptedServer, started } from "./scripted.ts";

export let server: ScriptedServer;
export let clock: HandClock;
export let tab: Tab;
export let network: EventTarget;
let storage: MemoryStore;
const clients: Client[] = [];

beforeEach(async () => {
  await startServer();
  clock = new HandClock();
  storage = new MemoryStore();
  tab = new Tab();
  network = new EventTarget();
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await server.stop();
});

/** Start one, which may be another in place of one that was stopped. */
export async function startServer(): Promise<void> {
  server = await ScriptedServer.start();
}

export function open(options: ClientOptions = {}, others: Partial<Environment> = {}): Client & { seen: string[] } {
  const environment = { WebSocket, clock, random: () => 0.5, storage, document: tab, network, ...others };
  const client = createClient({ url: server.url, ...options, environment });
  clients.push(client);
  const seen: string[] = [];
  client.on("connection", ({ state, transport }: Connection) => seen.push(`${state} ${transport}`));
  return Object.assign(client, { seen });
}

export const whole: Act = ({ frame }) => [started(), delta("1.2", "Hi"), end("1.3", "Hi")].forEach(frame);
export const begun: Act = ({ frame }) => [started(), delta("1.2", "Hi")].forEach(frame);
export const rest: Act = ({ frame }) => frame(end("1.3", "Hi"));
