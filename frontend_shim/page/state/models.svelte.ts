/** The models there are, which are loaded, and the one that the person chose. */

import type { ModelList } from "../../src/resources.ts";
import { keep, recall } from "../browser/storage.ts";
import { connection } from "./connection.svelte.ts";
import { client } from "./server.ts";

const CHOSEN = "model";

class Models {
  #list = $state.raw<Omit<ModelList, "limits">>({ items: [], default: null, simulated: false });
  #known = $state(false);
  /** For new chats; null leaves it to the server. */
  #chosen = $state<string | null>(textOrNull(recall(CHOSEN)));

  async refresh(): Promise<void> {
    const list = await client.models().catch(() => null);
    if (!list) return;
    this.#list = list;
    this.#known = true;
    connection.learn(list.limits.content_characters);
  }

  get items(): ModelList["items"] {
    return this.#list.items;
  }

  get default(): string | null {
    return this.#list.default;
  }

  get simulated(): boolean {
    return this.#list.simulated;
  }

  get none(): boolean {
    return this.#known && this.#list.items.length === 0;
  }

  /** One that isn't there any more counts as none. */
  get chosen(): string | null {
    return this.#list.items.some(({ name }) => name === this.#chosen) ? this.#chosen : null;
  }

  choose(name: string | null): void {
    this.#chosen = name;
    keep(CHOSEN, name);
  }
}

const textOrNull = (value: unknown): string | null => (typeof value === "string" ? value : null);

export const models = new Models();
