/** What is said in words, in English and in Brazilian Portuguese. */

import type { Connection } from "../client.ts";
import type { Line } from "./line.ts";

const ENGLISH = {
  heading: "Chat",
  message: "Message",
  send: "Send",
  stop: "Stop",
  newChat: "New chat",
  earlier: "Show earlier messages",
  retry: "Try again",
  thinking: "Thoughts",
  user: "You",
  assistant: "Answer",

  connecting: "Connecting…",
  live: "Connected",
  waiting: "Connection lost, trying again…",
  stopped: "The chat isn’t available to you here.",

  sending: "Sending…",
  queued: "Waiting: number {n} in the queue",
  soon: "Waiting…",
  length: "The answer was cut here because it reached the longest allowed length.",
  cancelled: "Stopped.",
  failed: "This didn’t work.",
  tooLong: "{n} characters too many",
};

export type Words = typeof ENGLISH;

const PORTUGUESE: Words = {
  heading: "Conversa",
  message: "Mensagem",
  send: "Enviar",
  stop: "Parar",
  newChat: "Nova conversa",
  earlier: "Mostrar mensagens anteriores",
  retry: "Tentar de novo",
  thinking: "Raciocínio",
  user: "Você",
  assistant: "Resposta",

  connecting: "Conectando…",
  live: "Conectado",
  waiting: "Conexão perdida, tentando de novo…",
  stopped: "A conversa não está disponível para você aqui.",

  sending: "Enviando…",
  queued: "Aguardando: número {n} na fila",
  soon: "Aguardando…",
  length: "A resposta foi cortada aqui porque chegou ao tamanho máximo permitido.",
  cancelled: "Interrompida.",
  failed: "Não deu certo.",
  tooLong: "{n} caracteres a mais",
};

/** Words in the language of a page, or of a part of it. */
export const wordsIn = (language: string): Words => (/^pt\b/i.test(language) ? PORTUGUESE : ENGLISH);

export const counted = (sentence: string, n: number): string => sentence.replace("{n}", String(n));

/** What is to be said about a message beside its text; "" where nothing is. */
export function noteOn({ state, place, error }: Line, words: Words): string {
  switch (state) {
    case "sending":
      return words.sending;
    case "queued":
      return place === null ? words.soon : counted(words.queued, place);
    case "failed":
      return error?.detail || words.failed;
    case "length":
    case "cancelled":
      return words[state];
    default:
      return "";
  }
}

/** How the connection is. */
export function wordFor({ state }: Connection, words: Words): string {
  if (state === "live" || state === "waiting" || state === "stopped") return words[state];
  return state === "connecting" ? words.connecting : "";
}
