/** What is being written, and whether it isn't too long for the server, which counts characters as people do. */

import { connection } from "./connection.svelte.ts";

/** What is left of the limit when it begins to matter. */
const NEAR = 0.2;

class Draft {
  text = $state("");
  readonly length = $derived(Array.from(this.text.trim()).length);
  readonly over = $derived(Math.max(0, this.length - connection.limit));
  readonly isNear = $derived(this.length > connection.limit * (1 - NEAR));
  readonly isSendable = $derived(this.length > 0 && this.over === 0);

  /** Empty it, for what it held is on its way. */
  take(): string {
    const text = this.text.trim();
    this.text = "";
    return text;
  }

  /** What wasn't taken goes back to where it was written. */
  giveBack(text: string): void {
    this.text = [text, this.text].filter(Boolean).join("\n\n");
  }
}

export const draft = new Draft();
