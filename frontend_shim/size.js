// Fails where a page would have to load more than it should for one of our files: `node size.js`, after a build.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

/** Bytes, gzipped. The others come on top of the client, and of `talk.js` where they hold a conversation. */
const MOST = { "client.js": 8192, "talk.js": 4096, "attach.js": 2048, "chat-panel.js": 4096, "markdown.js": 16384, "event-source.js": 1024 };

for (const [file, most] of Object.entries(MOST)) {
  const size = gzipSync(readFileSync(new URL(`dist/${file}`, import.meta.url)), { level: 9 }).length;
  console.log(`${file} has ${size} bytes gzipped; ${most} at most.`);
  if (size > most) process.exitCode = 1;
}
