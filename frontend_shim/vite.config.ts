import { defineConfig } from "vitest/config";

/** What is built on the client imports the client's own file instead of holding a copy of it. */
const besideTheClient = {
  name: "beside the client",
  enforce: "pre" as const,
  resolveId: (id: string) => (id === "./client.ts" ? { id: "./client.js", external: true } : null),
};

// `vite build` writes the client, then `vite build --mode beside` what is built on it.
export default defineConfig(({ mode }) => ({
  plugins: mode === "beside" ? [besideTheClient] : [],
  build: {
    target: "es2022",
    emptyOutDir: mode !== "beside",
    // A library keeps its white space otherwise.
    rolldownOptions: { output: { minify: true, comments: false, chunkFileNames: "[name].js" } },
    lib: {
      entry: mode === "beside" ? { "event-source": "src/event-source.ts" } : { client: "src/client.ts" },
      formats: ["es"],
    },
  },
  test: { include: ["tests/unit/**/*.test.ts"] },
}));
