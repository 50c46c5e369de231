/** Which conversation is on the page: the address names it, so that a reload and the history come back to it. */

import { keep, recall } from "../browser/storage.ts";
import { recallBeginning } from "./beginning.ts";
import { notices } from "./notices.svelte.ts";
import { Talk } from "./talk.svelte.ts";

const LAST = "conversation";

class Place {
  talk = $state.raw(new Talk(null));

  /** Show what the address names, or what was there at the last visit. */
  start(): void {
    const beginning = recallBeginning();
    const last = recall(LAST);
    if (beginning) this.talk.begin(beginning);
    else this.#show(named() ?? (typeof last === "string" ? last : null));
    addEventListener("hashchange", () => {
      if (named() !== this.talk.id) this.#show(named());
    });
  }

  /** Go to a conversation, or to a new one; the way back leads to where the page was. */
  go(id: string | null): void {
    if (id === this.talk.id && (id !== null || this.talk.entries.length === 0)) return;
    history.pushState(null, "", addressOf(id));
    this.#show(id);
  }

  /** The new chat exists now: the address is to name it. */
  keep(id: string | null): void {
    if (named() !== id) history.replaceState(null, "", addressOf(id));
    keep(LAST, id);
  }

  #show(id: string | null): void {
    this.talk.close();
    notices.clear();
    this.talk = new Talk(id);
    if (id) void this.talk.open();
  }
}

const named = (): string | null => decodeURIComponent(location.hash.slice(1)) || null;
const addressOf = (id: string | null): string => (id ? `#${encodeURIComponent(id)}` : location.pathname);

export const place = new Place();
