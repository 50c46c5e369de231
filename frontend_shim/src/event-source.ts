/**
 * Reading by EventSource, for whom fetch won't do:
 *
 * ```js
 * createClient({ transports: ["sse", "longpoll"], events: byEventSource() });
 * ```
 *
 * @packageDocumentation
 */

import { Lost, Silent } from "./client.ts";
import { type EventReader, eventsPath, type Patience, patienceOf } from "./transports/followed.ts";
import { listenerFor } from "./transports/sse.ts";

/** What is needed of an EventSource. */
export interface EventSourceLike {
  addEventListener(type: string, listener: (event: any) => void): void;
  close(): void;
}

export type EventSourceClass = new (url: string, options: { withCredentials: boolean }) => EventSourceLike;

/** The types of all events: an EventSource has to be asked for each. */
const TYPES =
  "hello heartbeat queued started delta tool_calls reset end message generation conversation deleted".split(" ");

/** An EventSource sends no headers, so it reads with a ticket; coming back after a loss isn't left to it. */
export function byEventSource(Source: EventSourceClass = globalThis.EventSource): EventReader {
  return async (followed, http, environment, heard, signal) => {
    const address = await http.ticketed(eventsPath(followed), { [followed.kind]: followed.id });
    if (signal.aborted) return;
    const source = new Source(address.href, { withCredentials: true });
    let patience: Patience | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        patience = patienceOf(environment.clock, () => reject(new Silent()));
        const hear = listenerFor(followed, patience, heard);
        for (const event of TYPES) {
          source.addEventListener(event, ({ data }: { data: string }) => {
            hear({ event, data });
            if (followed.ended) resolve();
          });
        }
        source.addEventListener("error", () => reject(new Lost()));
        signal.addEventListener("abort", () => resolve());
      });
    } finally {
      patience?.end();
      source.close();
    }
  };
}
