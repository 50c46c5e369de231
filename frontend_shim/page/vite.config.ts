import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import { compressed } from "./build/compressed.ts";
import { weighed } from "./build/weighed.ts";

// `vite build page` writes page/dist, which the server serves as it is.
export default defineConfig({
  root: import.meta.dirname,
  plugins: [svelte(), compressed(), weighed()],
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: true,
    // The browsers that can show this page preload modules themselves.
    modulePreload: { polyfill: false },
    // Our policy forbids what is written into the page itself.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
});
