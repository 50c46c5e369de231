/** Says things in the language of whoever looks. */

import { english, type ErrorWord, type Word } from "./english.ts";

type Facts = Readonly<Record<string, string | number>>;

let words: Record<Word, string> & Partial<Record<ErrorWord, string>> = english;
let language = "en";

/** Portuguese for those who read it, English for everybody else. */
export async function chooseLanguage(wanted: string): Promise<void> {
  if (!wanted.toLowerCase().startsWith("pt")) return;
  words = (await import("./portuguese.ts")).portuguese;
  language = document.documentElement.lang = "pt-BR";
}

export function say(word: Word, facts: Facts = {}): string {
  return words[word].replace(/\{(\w+)\}/g, (_, name: string) => written(facts[name]));
}

/** What a refusal, or the error of an answer, means. */
export function explain({ code, detail }: { code: string; detail?: string }): string {
  return words[`error.${code}`] ?? detail ?? words.unexpected;
}

/** How an answer ended, by its reason or, where that isn't known, its status; "" where that needs no words. */
export function explainEnd(reason: string, error: { code: string; detail: string } | null = null): string {
  if (["queued", "running", "completed"].includes(reason)) return "";
  if (error && !(`end.${error.code}` in words)) return explain(error);
  return (words as Record<string, string>)[`end.${reason}`] ?? words["end.failed"];
}

const written = (fact: string | number | undefined): string =>
  typeof fact === "number" ? fact.toLocaleString(language) : (fact ?? "");
