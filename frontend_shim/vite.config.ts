import { defineConfig } from "vitest/config";

export default defineConfig({
  build: {
    target: "es2022",
    // A library keeps its white space otherwise.
    rolldownOptions: { output: { minify: true } },
    lib: {
      entry: { client: "src/client.ts" },
      formats: ["es"],
    },
  },
  test: {
    projects: [
      { test: { name: "unit", include: ["tests/unit/**/*.test.ts"] } },
      { test: { name: "server", include: ["tests/server/**/*.test.ts"], testTimeout: 30_000 } },
    ],
  },
});
