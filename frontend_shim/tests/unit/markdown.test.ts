// @vitest-environment happy-dom
/** Answers in a panel: what Markdown becomes, and what it can't become. */

import { describe, expect, test } from "vitest";

import { MarkdownView } from "../../src/panel/markdown.ts";

function shown(...texts: string[]): HTMLElement {
  const root = document.createElement("div");
  const view = new MarkdownView(root);
  for (const text of texts) view.show(text);
  return root;
}

const TEXT = `# Title

One **strong** and \`code\`, a [link](https://example.org/) and a\nline.

1. first
2. second

- a
  - b

\`\`\`js
const a = "<b>";
\`\`\`

| a | b |
| - | - |
| 1 | 2 |

> said
`;

describe("markdown", () => {
  test("becomes elements", () => {
    const root = shown(TEXT);
    expect([...root.children].map(({ localName }) => localName)).toEqual(["h3", "p", "ol", "ul", "pre", "table", "blockquote"]);
    expect(root.querySelector("pre")!.textContent).toBe('const a = "<b>";');
    expect(root.querySelector("strong")!.textContent).toBe("strong");
    expect(root.querySelector("a")!.getAttribute("rel")).toBe("noopener noreferrer");
    expect(root.querySelectorAll("li")).toHaveLength(4);
    expect(root.querySelector("td")!.textContent).toBe("1");
  });

  test.each([1, 3, 7])("is the same when it grows by %i characters", (step) => {
    const pieces = Array.from({ length: Math.ceil(TEXT.length / step) }, (_, at) => TEXT.slice(0, (at + 1) * step));
    expect(shown(...pieces).innerHTML).toBe(shown(TEXT).innerHTML);
  });

  test("begins again where the text does", () => {
    expect(shown("one\n\ntwo", "another").innerHTML).toBe("<p>another</p>");
  });

  test.each([
    '<script>alert(1)</script>',
    '<img src=x onerror="alert(1)">',
    "[click](javascript:alert(1))",
    "[click](data:text/html,x)",
    "![x](https://example.org/x.png)",
    "<svg onload=alert(1)>",
    "a <b onclick=alert(1)>b</b>",
  ])("makes nothing of %s that runs or loads", (evil) => {
    const root = shown(evil);
    expect(root.querySelector("script, img, svg, b, a, [onclick]")).toBeNull();
    expect(root.textContent!.trim()).not.toBe("");
  });
});
