/** Fails the build of a page that is too heavy: all that is loaded before its first paint, gzipped. */

import { gzipSync } from "node:zlib";
import type { Plugin, Rollup } from "vite";

const MOST = 120 * 1024;

export function weighed(): Plugin {
  return {
    name: "weighed",
    apply: "build",
    enforce: "post",
    writeBundle(_, bundle) {
      const files = [...firstFiles(bundle)];
      const size = files.reduce((sum, name) => sum + gzipSync(contentOf(bundle[name]!), { level: 9 }).length, 0);
      console.log(`The page's first paint takes ${size} bytes gzipped in ${files.length} files; ${MOST} at most.`);
      if (size > MOST) this.error("The page is too heavy: load later what isn't seen at first.");
    },
  };
}

/** The page itself, its entry, what that imports at once, and their styles. */
function firstFiles(bundle: Rollup.OutputBundle): Set<string> {
  const found = new Set<string>();
  const add = (name: string): void => {
    const file = bundle[name];
    if (!file || found.has(name)) return;
    found.add(name);
    if (file.type !== "chunk") return;
    for (const needed of [...file.imports, ...(file.viteMetadata?.importedCss ?? [])]) add(needed);
  };
  for (const [name, file] of Object.entries(bundle)) {
    if (name.endsWith(".html") || (file.type === "chunk" && file.isEntry)) add(name);
  }
  return found;
}

const contentOf = (file: Rollup.OutputBundle[string]): string | Uint8Array =>
  file.type === "chunk" ? file.code : file.source;
