/** How the page and the server stand to each other. */

import { isObject } from "../../src/frames.ts";
import { keep, recall } from "../browser/storage.ts";
import type { Word } from "../words/english.ts";
import { client } from "./server.ts";

const LIMIT = "limit";

class ConnectionView {
  #now = $state.raw(client.connection);
  /** Characters a message may have; as it was told last time until it is told anew. */
  limit = $state(Number(recall(LIMIT)) || Infinity);

  constructor() {
    client.on("connection", (connection) => {
      this.#now = connection;
      if (isObject(client.limits)) this.learn(client.limits.content_characters);
    });
  }

  learn(limit: unknown): void {
    if (!Number.isInteger(limit)) return;
    this.limit = Number(limit);
    keep(LIMIT, limit);
  }

  get live(): boolean {
    return this.#now.state === "live";
  }

  /** For the eye: all is well, it is being tried, or it isn't well. */
  get mood(): "good" | "trying" | "bad" {
    if (this.live) return "good";
    return ["idle", "connecting", "paused"].includes(this.#now.state) ? "trying" : "bad";
  }

  get word(): Word {
    const { state, transport } = this.#now;
    if (state === "live") return transport === "websocket" ? "live" : "liveOtherwise";
    if (state === "waiting" || state === "paused") return state;
    return state === "stopped" || state === "closed" ? "stopped" : "connecting";
  }
}

export const connection = new ConnectionView();
