// Fails where the client alone is larger than a page should have to load: `node size.js`, after a build.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const MOST = 8 * 1024;
const size = gzipSync(readFileSync(new URL("dist/client.js", import.meta.url)), { level: 9 }).length;
console.log(`The client has ${size} bytes gzipped; ${MOST} at most.`);
process.exit(size > MOST ? 1 : 0);
