/** Markdown as models write it: GitHub's, with maths kept as it was written, and HTML as the text that it is. */

import { Marked, type Token, type TokenizerExtension, type Tokens } from "marked";

/** Marks that people know from pages, as far as they can carry nothing. */
const HARMLESS = /^<(br\s*\/?|\/?(sub|sup|kbd))>$/i;

const BLOCK_MATHS = /^(?:\$\$[\s\S]+?\$\$|\\\[[\s\S]+?\\\])(?=\s|$)/;
const INLINE_MATHS = /^(?:\$\$[^$\n]+\$\$|\\\([\s\S]+?\\\)|\\\[[\s\S]+?\\\]|\$(?![\s$\d])[^$\n]*[^\s$\\]\$(?!\d))/;

function maths(level: "block" | "inline", pattern: RegExp, opening: RegExp): TokenizerExtension {
  return {
    name: `${level}Maths`,
    level,
    start: (text) => opening.exec(text)?.index,
    tokenizer(text) {
      const raw = pattern.exec(text)?.[0];
      return raw === undefined ? undefined : { type: `${level}Maths`, raw, text: raw };
    },
  };
}

const grammar = new Marked({
  gfm: true,
  extensions: [
    { ...maths("block", BLOCK_MATHS, /\$\$|\\\[/), renderer: ({ raw }) => `<p><span class="maths">${escape(raw)}</span></p>` },
    { ...maths("inline", INLINE_MATHS, /\$|\\[([]/), renderer: ({ raw }) => `<span class="maths">${escape(raw)}</span>` },
  ],
  renderer: {
    // Text stays text, whatever marks that look like HTML's stand around it.
    text(token) {
      return "tokens" in token && token.tokens ? this.parser.parseInline(token.tokens) : asWritten(token.text);
    },
    html: ({ text, block }: Tokens.HTML | Tokens.Tag) => (block ? `<p>${asText(text)}</p>` : asText(text)),
    // A picture from elsewhere would tell its host who reads this.
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || href)}</a>`,
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});

export const lex = (text: string): Token[] => grammar.lexer(text);

export const htmlOf = (tokens: Token[]): string => grammar.parser(tokens);

const asText = (markup: string): string => (HARMLESS.test(markup) ? markup : escape(markup));

/** An entity in a text is the character that it names. */
const asWritten = (text: string): string => escape(text).replace(/&amp;(?=(?:#\d{1,7}|#x[\da-f]{1,6}|[a-z][a-z\d]{1,31});)/gi, "&");

const ESCAPES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

const escape = (text: string): string => text.replace(/[&<>"]/g, (character) => ESCAPES[character]!);
