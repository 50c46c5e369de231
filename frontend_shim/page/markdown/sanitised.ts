/** The one place where markup becomes nodes of the page: only what text needs comes through. */

import DOMPurify from "dompurify";

const TAGS =
  "a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i kbd li ol p pre span strong sub sup table tbody td th thead tr ul".split(" ");
const ADDRESS = /^(?:https?:|mailto:|#)/i;

export function sanitised(markup: string): DocumentFragment {
  const fragment = DOMPurify.sanitize(markup, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ["href", "title", "class", "start", "align"],
    ALLOWED_URI_REGEXP: ADDRESS,
    // These aren't addresses, and would be taken for some.
    ADD_URI_SAFE_ATTR: ["start", "align"],
    ALLOW_ARIA_ATTR: false,
    ALLOW_DATA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
  for (const link of fragment.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  for (const table of fragment.querySelectorAll("table")) frame(table);
  return fragment;
}

/** A wide table moves sideways by itself, also by keyboard. */
function frame(table: HTMLTableElement): void {
  const around = document.createElement("div");
  around.className = "table";
  around.tabIndex = 0;
  around.role = "group";
  table.replaceWith(around);
  around.append(table);
}
