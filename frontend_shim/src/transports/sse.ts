/** Server-sent events over fetch, so that headers can be sent. */

import { Lost, Silent } from "../errors.ts";
import { parseObject } from "../frames.ts";
import { lose } from "../http.ts";
import { bearable, type EventReader, eventsPath, type Followed, HELLO_MS, type Patience, patienceOf } from "./followed.ts";

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
    // A return at the very end may be half of a pair.
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop()!;
    if (this.#rest.length > LONGEST_LINE) throw new Lost();
    for (const line of lines) {
      const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line)!;
      if (field === "event") this.#event = value!;
      if (field === "data") this.#data.push(value!);
      if (line === "" && this.#data.length > 0) {
        yield { event: this.#event, data: this.#data.join("\n") };
        this.#event = "";
        this.#data = [];
      }
    }
  }
}

/** Hands the events of one connection on, and grants it the silence that is usual there. */
export function listenerFor(followed: Followed, patience: Patience, heard: () => void): (event: ServerSentEvent) => void {
  let usual = HELLO_MS;
  patience.grant(usual);
  return ({ event, data }) => {
    const frame = parseObject(data);
    if (event === "hello") usual = bearable(frame?.heartbeat);
    patience.grant(usual);
    heard();
    if (event !== "hello" && event !== "heartbeat") followed.take(frame);
  };
}

/** Reads until the end of what is followed; any other end of the connection is thrown. */
export const readEvents: EventReader = async (followed, http, environment, heard, signal) => {
  const silence = new AbortController();
  const patience = patienceOf(environment.clock, () => silence.abort());
  const hear = listenerFor(followed, patience, heard);
  try {
    const response = await http.stream(eventsPath(followed), AbortSignal.any([signal, silence.signal]));
    if (response.status === 204) return followed.over();
    for await (const event of eventsOf(response)) {
      hear(event);
      if (followed.ended) return;
    }
    throw new Lost();
  } catch (error) {
    throw silence.signal.aborted ? new Silent() : error;
  } finally {
    patience.end();
    // Also what was not read to its end is let go.
    silence.abort();
  }
};

async function* eventsOf(response: Response): AsyncGenerator<ServerSentEvent> {
  // What a proxy answers instead is no stream.
  if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) throw new Lost();
  const parser = new EventParser();
  const reader = response.body!.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  while (true) {
    const { done, value } = await reader.read().catch(lose);
    if (done) return;
    yield* parser.feed(value);
  }
}
