/** Server-sent events over fetch, so that headers can be sent, and over EventSource where that is asked for. */

import type { Environment } from "../environment.ts";
import { Lost, Silent } from "../errors.ts";
import { parseObject } from "../frames.ts";
import { type Http, joined } from "../http.ts";
import { type Followed, HELLO_MS, Patience, bearable, eventsPath } from "./followed.ts";

/** Characters of one line at most: the longest answer as JSON fits several times. */
const LONGEST_LINE = 16 * 2 ** 20;

export interface ServerSentEvent {
  event: string;
  data: string;
}

/** Cuts text, however it comes in pieces, into events. */
export class EventParser {
  #rest = "";
  #event = "";
  #data: string[] = [];

  *feed(text: string): Generator<ServerSentEvent> {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop()!;
    if (this.#rest.length > LONGEST_LINE) throw new Lost("A line is too long.");
    for (const line of lines) {
      if (line !== "") this.#take(line);
      else if (this.#data.length > 0) yield this.#finish();
    }
  }

  #take(line: string): void {
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line)!;
    if (field === "event") this.#event = value!;
    else if (field === "data") this.#data.push(value!);
  }

  #finish(): ServerSentEvent {
    const finished = { event: this.#event || "message", data: this.#data.join("\n") };
    this.#event = "";
    this.#data = [];
    return finished;
  }
}

/** Hands the events of one connection on, and knows how long it may be silent. */
class Listener {
  readonly #followed: Followed;
  readonly #patience: Patience;
  readonly #heard: () => void;
  #bearable = HELLO_MS;

  constructor(followed: Followed, patience: Patience, heard: () => void) {
    this.#followed = followed;
    this.#patience = patience;
    this.#heard = heard;
    patience.grant(HELLO_MS);
  }

  hear({ event, data }: ServerSentEvent): void {
    if (event === "hello") this.#bearable = bearable(parseObject(data)?.heartbeat);
    this.#patience.grant(this.#bearable);
    this.#heard();
    if (event !== "hello" && event !== "heartbeat") this.#followed.take(parseObject(data));
  }
}

/** Read until the end of what is followed, or of the connection, which is thrown. */
export async function readEvents(
  followed: Followed,
  http: Http,
  environment: Environment,
  heard: () => void,
  signal: AbortSignal,
): Promise<void> {
  const silence = new AbortController();
  const patience = new Patience(environment.clock, () => silence.abort());
  const listener = new Listener(followed, patience, heard);
  try {
    const response = await http.stream(withPosition(followed), joined(signal, silence.signal));
    if (response.status === 204) return followed.over();
    for await (const event of eventsOf(response)) {
      listener.hear(event);
      if (followed.ended) return;
    }
  } catch (error) {
    throw silence.signal.aborted ? new Silent("Nothing comes over this connection.") : error;
  } finally {
    patience.end();
    // Also what was not read to its end is let go.
    silence.abort();
  }
  throw new Lost("The stream was cut.");
}

const withPosition = (followed: Followed): string =>
  eventsPath(followed) + (followed.after === null ? "" : `?after=${encodeURIComponent(followed.after)}`);

async function* eventsOf(response: Response): AsyncGenerator<ServerSentEvent> {
  if (!response.headers.get("Content-Type")?.startsWith("text/event-stream") || !response.body) {
    throw new Lost("That isn't a stream of events.");
  }
  const parser = new EventParser();
  const reader = response.body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  while (true) {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      throw new Lost("The stream was cut.", { cause });
    });
    if (done) return;
    yield* parser.feed(value);
  }
}

/** The types of all events: an EventSource has to be asked for each. */
const TYPES =
  "hello heartbeat queued started delta tool_calls reset end message generation conversation deleted".split(" ");

/** The same over an EventSource; coming back after a loss is our affair, so it gets no second try of its own. */
export async function readEventSource(
  followed: Followed,
  http: Http,
  environment: Environment,
  heard: () => void,
  signal: AbortSignal,
): Promise<void> {
  const target = { [followed.kind]: followed.id };
  const address = new URL(await http.eventsAddress(withPosition(followed), target));
  if (signal.aborted) return;
  const source = new environment.EventSource!(address.href, { withCredentials: true });
  try {
    await new Promise<void>((resolve, reject) => {
      const patience = new Patience(environment.clock, () => reject(new Silent("Nothing comes over this connection.")));
      const listener = new Listener(followed, patience, heard);
      for (const event of TYPES) {
        source.addEventListener(event, ({ data }: { data: string }) => {
          listener.hear({ event, data });
          if (followed.ended) resolve();
        });
      }
      source.addEventListener("error", () => reject(new Lost("The stream was cut.")));
      signal.addEventListener("abort", () => resolve());
    });
  } finally {
    source.close();
  }
}
