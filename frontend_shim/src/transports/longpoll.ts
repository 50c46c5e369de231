/** Long-poll: one question, one answer; works through everything that HTTP works through. */

import { Lost } from "../errors.ts";
import { isObject } from "../frames.ts";
import type { Http } from "../http.ts";
import { type Followed, eventsPath } from "./followed.ts";

/** Seconds the server may wait for news. */
const WAIT_S = 25;
/** Milliseconds beyond them for the answer to arrive. */
const SLACK_MS = 10_000;

/** Ask once, and hand on what is answered. */
export async function poll(followed: Followed, http: Http, heard: () => void, signal: AbortSignal): Promise<void> {
  const options = { signal, deadline: WAIT_S * 1000 + SLACK_MS };
  const answer = await http.call("GET", eventsPath(followed, `&wait=${WAIT_S}`), options);
  if (!isObject(answer) || !Array.isArray(answer.events)) throw new Lost();
  if (signal.aborted) return;
  heard();
  for (const frame of answer.events as unknown[]) followed.take(frame);
  if (followed.after === null && typeof answer.after === "string") followed.begin(answer.after);
  if (answer.ended === true) followed.over();
}
