/** The one connection of the page, and how it waits where the server doesn't answer. */

import { backoff } from "../../src/backoff.ts";
import { createClient } from "../../src/client.ts";
import { isPassing, Problem } from "../../src/errors.ts";
import { tab } from "../browser/storage.ts";

export const client = createClient(tab ? { unsent: tab } : {});

/** Ask until the server answers, whatever it says then. */
export async function persist<T>(ask: () => Promise<T>): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      return await ask();
    } catch (error) {
      if (!isPassing(error)) throw error;
      await hope(backoff(failures, Math.random, error instanceof Problem ? error.retryAfter : 0));
    }
  }
}

/** Until there is reason to hope: the connection is back, or enough time is over. */
function hope(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const over = (): void => {
      clearTimeout(timer);
      stop();
      resolve();
    };
    const timer = setTimeout(over, ms);
    const stop = client.on("connection", ({ state }) => state === "live" && over());
  });
}
