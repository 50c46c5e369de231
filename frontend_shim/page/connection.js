// The server, as the page talks to it: over a WebSocket, and by long-poll where none can be opened.
// Whoever follows a generation gets each of its frames once, whatever becomes of the connections meanwhile.

// Nobody answered. Calls are made so that making them again is harmless.
export class Lost extends Error {}

// The server said no; `facts` are those of its problem document.
export class Problem extends Error {
  constructor(facts) {
    super(facts.detail);
    this.facts = facts;
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Full jitter: after a restart not everybody comes back in the same moment.
const backoff = (tries) => Math.random() * 1000 * Math.min(2 ** tries, 30);

// A UUID; crypto.randomUUID is missing where the page isn't served securely.
export function newRef() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

const address = (path) => new URL(`api/v1/${path}`, document.baseURI);

export async function call(method, path, { body, key, signals = [] } = {}) {
  const headers = { ...(body && { "Content-Type": "application/json" }), ...(key && { "Idempotency-Key": key }) };
  const signal = AbortSignal.any([AbortSignal.timeout(60_000), ...signals]);
  let response, answer;
  try {
    response = await fetch(address(path), { method, headers, signal, body: body && JSON.stringify(body) });
    answer = await response.json();
  } catch {
    throw new Lost();
  }
  if (response.ok) return answer;
  // The error page of a proxy is no answer of the server.
  throw answer.code ? new Problem(answer) : new Lost();
}

// Tries until the server answers.
export async function persist(attempt) {
  for (let tries = 0; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Lost)) throw error;
    }
    await pause(backoff(tries));
  }
}

export class Connection {
  limits = null;
  #tell;
  #socket = null;
  // The WebSocket is open and greeted us.
  #live = false;
  // No WebSocket, but the server answers.
  #polling = false;
  // Attempts in a row that didn't get that far.
  #unopened = 0;
  #retry;
  #deadline;
  // By ref: who waits for an answer on this WebSocket.
  #asked = new Map();
  // By generation: {onFrame, after: last position, open: frames on this WebSocket are for it, poll: its long-poll}.
  #followers = new Map();

  constructor(tell) {
    this.#tell = tell;
  }

  start() {
    this.#connect();
    setInterval(() => this.#live && this.#ping(), 20_000);
  }

  // Sends a turn, again and again if need be: its ref makes that harmless.
  send(turn, onFrame) {
    return persist(async () => {
      const { ref, conversation, ...body } = turn;
      const live = this.#live;
      const accepted = live
        ? await this.#ask({ type: "send", ...turn })
        : await call("POST", `conversations/${conversation}/messages`, { body, key: ref });
      // Over the WebSocket the frames follow without being asked for.
      if (live) this.#followers.set(accepted.generation.id, { onFrame, open: true });
      else this.follow(accepted.generation.id, onFrame);
      return accepted;
    });
  }

  follow(generation, onFrame) {
    const follower = { onFrame, open: false };
    this.#followers.set(generation, follower);
    this.#resume(generation, follower);
  }

  unfollow(generation) {
    this.#followers.get(generation)?.poll?.abort();
    if (this.#followers.delete(generation) && this.#live) this.#write({ type: "unsubscribe", generation });
  }

  // The network may be back, or gone: find out now.
  wake() {
    if (this.#live) this.#ping();
    else if (!this.#socket) this.#connect();
  }

  #connect() {
    clearTimeout(this.#retry);
    const url = address("ws");
    url.protocol = url.protocol.replace("http", "ws");
    try {
      this.#socket = new WebSocket(url, "chatserver.v1");
    } catch {
      return this.#closed((this.#socket = {}));
    }
    const socket = this.#socket;
    socket.onmessage = ({ data }) => socket === this.#socket && this.#take(JSON.parse(data));
    socket.onclose = ({ code }) => this.#closed(socket, code);
    this.#expectWords();
  }

  // A dead connection says nothing, so after ten seconds of silence it is given up.
  #expectWords() {
    this.#deadline ??= setTimeout(() => {
      const socket = this.#socket;
      this.#closed(socket);
      socket.close();
    }, 10_000);
  }

  #ping() {
    this.#write({ type: "ping" });
    this.#expectWords();
  }

  #write(frame) {
    this.#socket.send(JSON.stringify(frame));
  }

  #ask(frame) {
    return new Promise((resolve, reject) => {
      this.#asked.set(frame.ref, { resolve, reject });
      this.#ping();
      this.#write(frame);
    });
  }

  #closed(socket, code) {
    if (socket !== this.#socket) return;
    clearTimeout(this.#deadline);
    this.#deadline = null;
    this.#socket = null;
    this.#unopened = this.#live ? 0 : this.#unopened + 1;
    if (this.#live) this.#tell("lost");
    this.#live = false;
    for (const follower of this.#followers.values()) follower.open = false;
    for (const { reject } of this.#asked.values()) reject(new Lost());
    this.#asked.clear();
    if (code === 4401 || code === 4403) return this.#tell("refused");
    if (this.#unopened >= 2) this.#fallBack();
    this.#retry = setTimeout(() => this.#connect(), backoff(Math.max(this.#unopened - 1, 0)));
  }

  #take(frame) {
    clearTimeout(this.#deadline);
    this.#deadline = null;
    const asked = this.#asked.get(frame.ref);
    this.#asked.delete(frame.ref);
    if (frame.type === "ready") this.#greet(frame);
    else if (frame.type === "error") asked?.reject(new Problem(frame));
    else if (asked) asked.resolve(frame);
    else {
      const follower = this.#followers.get(frame.generation);
      if (follower?.open) this.#deliver(follower, frame);
    }
  }

  #greet({ limits }) {
    this.#live = true;
    this.#polling = false;
    this.limits = limits;
    this.#tell("live");
    for (const [generation, follower] of this.#followers) this.#resume(generation, follower);
  }

  #deliver(follower, frame) {
    if (frame.id) follower.after = frame.id;
    if (frame.type === "end") this.#followers.delete(frame.generation);
    follower.onFrame(frame);
  }

  // Goes on reading where this follower stopped, by what there is.
  #resume(generation, follower) {
    if (this.#followers.get(generation) !== follower) return;
    if (this.#live) this.#subscribe(generation, follower);
    else if (this.#polling && !follower.poll) this.#poll(generation, follower);
  }

  async #subscribe(generation, follower) {
    follower.poll?.abort();
    follower.poll = null;
    try {
      await this.#ask({ type: "subscribe", ref: newRef(), generation, after: follower.after });
      follower.open = true;
    } catch (error) {
      // After a loss the next connection subscribes anew.
      if (!(error instanceof Lost)) this.#refused(generation, follower, error);
    }
  }

  async #poll(generation, follower) {
    const { signal } = (follower.poll = new AbortController());
    try {
      while (this.#followers.get(generation) === follower) {
        const from = follower.after ? `?wait=25&after=${follower.after}` : "";
        const answer = await call("GET", `generations/${generation}/events${from}`, { signals: [signal] });
        if (signal.aborted) return;
        for (const frame of answer.events) this.#deliver(follower, frame);
        follower.after = answer.after;
        // Ten looks a second read as smoothly as a look a token.
        await pause(100);
      }
    } catch (error) {
      if (signal.aborted) return;
      follower.poll = null;
      if (error instanceof Lost) this.#lostPolling();
      else this.#refused(generation, follower, error);
    }
  }

  #refused(generation, follower, { facts }) {
    if (facts.status >= 500 || facts.status === 429) {
      setTimeout(() => this.#resume(generation, follower), 1000 * (facts.retry_after ?? 1));
    } else if (this.#followers.get(generation) === follower) {
      this.#deliver(follower, { type: "end", generation, reason: "failed", error: facts });
    }
  }

  async #fallBack() {
    const answers = await call("GET", "models").then(() => true, (error) => error instanceof Problem);
    if (this.#live) return;
    this.#polling = answers;
    this.#tell(answers ? "polling" : "lost");
    for (const [generation, follower] of this.#followers) this.#resume(generation, follower);
  }

  #lostPolling() {
    this.#polling = false;
    this.#tell("lost");
    this.#unopened = 2;
    clearTimeout(this.#retry);
    if (!this.#socket) this.#retry = setTimeout(() => this.#connect(), backoff(1));
  }
}
