/** Colours for code that is seen. The highlighter and each language come with the first code that needs them. */

import type { HLJSApi, LanguageFn } from "highlight.js";
import { sanitised } from "./sanitised.ts";

/** Characters beyond which colouring would be noticed as a pause. */
const MOST = 30_000;

const grammars = import.meta.glob<LanguageFn>(
  [
    "../../node_modules/highlight.js/es/languages/{bash,c,cpp,csharp,css,dart,diff,dockerfile,elixir,erlang,go}.js",
    "../../node_modules/highlight.js/es/languages/{graphql,haskell,http,ini,java,javascript,json,julia,kotlin}.js",
    "../../node_modules/highlight.js/es/languages/{latex,less,lisp,lua,makefile,markdown,nginx,objectivec,perl}.js",
    "../../node_modules/highlight.js/es/languages/{php,powershell,protobuf,python,r,ruby,rust,scala,scss,sql}.js",
    "../../node_modules/highlight.js/es/languages/{swift,typescript,vbnet,x86asm,xml,yaml}.js",
  ],
  { import: "default" },
);

/** By the language: what else it is called. */
const OTHER_NAMES: Record<string, string> = {
  bash: "console sh shell zsh",
  cpp: "c++",
  csharp: "c# cs",
  diff: "patch",
  dockerfile: "docker",
  go: "golang",
  ini: "toml",
  javascript: "js jsx mjs",
  json: "jsonc",
  kotlin: "kt",
  makefile: "make",
  markdown: "md",
  powershell: "ps1",
  python: "py",
  ruby: "rb",
  rust: "rs",
  typescript: "ts tsx",
  xml: "html svg svelte vue",
  yaml: "yml",
};

let highlighter: Promise<HLJSApi> | undefined;

const unseen = new WeakMap<Element, () => void>();
const eye = new IntersectionObserver(
  (entries) => {
    for (const { target } of entries.filter(({ isIntersecting }) => isIntersecting)) {
      eye.unobserve(target);
      unseen.get(target)?.();
    }
  },
  { rootMargin: "400px" },
);

/** Give code its colours as soon as it is nearly in sight. */
export function highlight(code: HTMLElement, text: string, language: string): void {
  const name = nameOf(language.toLowerCase());
  const load = grammars[`../../node_modules/highlight.js/es/languages/${name}.js`];
  if (!load || text.length > MOST) return;
  unseen.set(code, () => void colour(code, text, name, load));
  eye.observe(code);
}

async function colour(code: HTMLElement, text: string, name: string, load: () => Promise<LanguageFn>): Promise<void> {
  highlighter ??= import("highlight.js/lib/core").then((module) => module.default);
  try {
    const [hljs, grammar] = await Promise.all([highlighter, load()]);
    await leisure();
    hljs.registerLanguage(name, grammar);
    code.replaceChildren(sanitised(hljs.highlight(text, { language: name, ignoreIllegals: true }).value));
  } catch {
    // Colours that can't be fetched are done without, and asked for again with the next code.
    highlighter = undefined;
  }
}

const nameOf = (called: string): string =>
  Object.keys(OTHER_NAMES).find((name) => OTHER_NAMES[name]!.split(" ").includes(called)) ?? called;

/** Wait until there is nothing better to do, where a browser tells. */
const leisure = (): Promise<unknown> =>
  new Promise((resolve) => ("requestIdleCallback" in window ? requestIdleCallback(resolve, { timeout: 500 }) : setTimeout(resolve)));
