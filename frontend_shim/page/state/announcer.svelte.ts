/** What is read out to those who don't see the page: that an answer begins, and then the whole of it, once. */

import { say } from "../words/say.ts";
import type { Reply } from "./reply.svelte.ts";

/** Characters of an answer that are read out; the rest is there to be read. */
const MOST = 1000;

class Announcer {
  text = $state("");
  /** What is being made before everybody's eyes; answers from before aren't news. */
  #awaited: Reply | null = null;

  begun(reply: Reply): void {
    this.#awaited = reply;
    this.text = say("answering");
  }

  ended(reply: Reply): void {
    if (reply !== this.#awaited) return;
    this.#awaited = null;
    const text = reply.text.text.replace(/[*_`#>|]+/g, " ");
    this.text = [reply.note?.text, say("answered"), text.length > MOST ? `${text.slice(0, MOST)}…` : text].filter(Boolean).join(" ");
  }
}

export const announcer = new Announcer();
