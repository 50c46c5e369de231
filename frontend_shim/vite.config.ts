import { defineConfig } from "vitest/config";
import { compressed } from "./page/build/compressed.ts";

/** What is built on the client imports the client's own file instead of holding a copy of it. */
const besideTheClient = {
  name: "beside the client",
  enforce: "pre" as const,
  resolveId: (id: string) => (/^\.\.?\/client\.ts$/.test(id) ? { id: "./client.js", external: "relative" as const } : null),
};

const BESIDE = { "event-source": "src/event-source.ts", attach: "src/attach.ts", "chat-panel": "src/chat-panel.ts" };

/** What `attach` and the panel have in common. */
const SHARED = { groups: [{ name: "talk", test: /src\/talk\// }] };

// `vite build` writes the client, then `vite build --mode beside` what is built on it.
export default defineConfig(({ mode }) => ({
  plugins: [...(mode === "beside" ? [besideTheClient] : []), compressed()],
  build: {
    target: "es2022",
    emptyOutDir: mode !== "beside",
    // A library keeps its white space otherwise.
    rolldownOptions: { output: { minify: true, comments: false, chunkFileNames: "[name].js", codeSplitting: SHARED } },
    lib: {
      entry: mode === "beside" ? BESIDE : { client: "src/client.ts" },
      formats: ["es"],
    },
  },
  // Their clock is moved, so none of them waits; a machine that does much else takes long all the same.
  test: { include: ["tests/unit/**/*.test.ts"], testTimeout: 30_000, hookTimeout: 30_000 },
}));
