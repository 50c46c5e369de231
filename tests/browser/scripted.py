"""A server inside the page, which answers as a test says: letter by letter, or very much at once."""

SCRIPTED = """
    let made = 0;
    const accepted = ({ ref, conversation, content }) => {
        const common = { conversation, created_at: new Date().toISOString(), model: null, ref: null };
        const message = { ...common, id: `msg_q${++made}`, parent: null, role: "user", content,
            status: "completed", generation: null, versions: [`msg_q${made}`], ref };
        const generation = { ...common, id: `gen_${made}`, message: `msg_a${made}` };
        return { type: "accepted", ref, message, generation };
    };
    window.WebSocket = class extends EventTarget {
        #at = 0;
        #text = "";
        constructor() {
            super();
            window.server = this;
            const ready = { type: "ready", heartbeat: 30, limits: { content_characters: 2000 } };
            setTimeout(() => this.tell(ready));
        }
        send(sent) {
            const { type, ref, ...asked } = JSON.parse(sent);
            if (type === "ping") this.tell({ type: "pong" });
            else this.tell(type === "send" ? accepted({ ref, ...asked }) : { type: "ok", ref });
        }
        close() {}
        tell(frame) {
            this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(frame) }));
        }
        #log(frame) {
            this.tell({ generation: `gen_${made}`, id: `p${++this.#at}`, ...frame });
        }
        write(text) {
            this.#text += text;
            this.#log({ type: "delta", channel: "answer", text });
        }
        async end() {
            const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(this.#text));
            const bytes = [...new Uint8Array(hash)];
            const sha256 = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
            this.#text = "";
            this.#log({ type: "end", reason: "completed", usage: null, sha256, error: null });
        }
    };
    window.drip = async (tokens, perFrame) => {
        for (let frame = 1, at = 0; at < tokens.length; frame++) {
            await new Promise(requestAnimationFrame);
            while (at < Math.min(tokens.length, frame * perFrame)) server.write(tokens[at++]);
        }
    };
    window.write = async (pieces) => {
        for (const piece of pieces) {
            server.write(piece);
            await new Promise(requestAnimationFrame);
        }
        await server.end();
    };
"""
