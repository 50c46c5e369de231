/** Small things that are kept over reloads and visits; a browser may refuse to, and the page does without. */

import { keep as keepIn, recall as recallFrom, type Store } from "../../src/environment.ts";

/** A browser may refuse by throwing as soon as a store is named. */
function storeCalled(name: "localStorage" | "sessionStorage"): Store | undefined {
  try {
    return window[name];
  } catch {
    return undefined;
  }
}

/** For as long as the tab is there. */
export const tab = storeCalled("sessionStorage");
/** For the next visit too. */
const visits = storeCalled("localStorage");

const PREFIX = "chatserver.";

export const keep = (name: string, value: unknown, store = visits): void => keepIn(store, PREFIX + name, value);
export const recall = (name: string, store = visits): unknown => recallFrom(store, PREFIX + name);
