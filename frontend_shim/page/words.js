// Every sentence of the page, in English and in Brazilian Portuguese.

const english = {
  chats: "Chats",
  newChat: "New chat",
  conversation: "Conversation",
  message: "Message",
  ask: "Ask something",
  send: "Send",
  stop: "Stop",
  hint: "Enter sends, Shift+Enter breaks the line",
  latest: "Latest text",
  earlier: "Show earlier messages",
  welcome: "What would you like to know?",
  promise: "An answer goes on while you are away: close the page, come back, and read on.",
  user: "You",
  assistant: "Answer",
  thoughts: "Thoughts",
  untitled: "Untitled",

  simulated: "Simulated answers, because no Ollama was found. How to get real ones",
  step1: "Install Ollama from ollama.com and start it.",
  step2: "Fetch a model, for example:",
  step3: "Ollama on another machine? Start the server with",
  takesOver: "Real answers take over by themselves as soon as it is there.",
  noModels: "There is no model to answer yet. Fetch one: ollama pull llama3.2",

  connecting: "Connecting…",
  live: "Connected",
  polling: "Connected without WebSocket",
  lost: "Connection lost, trying again…",
  refused: "Not signed in any more: reload the page",

  sending: "Sending…",
  queued: "Waiting: number {position} in the queue",
  queuedFor: "Waiting: number {position} in the queue, about {seconds} s",
  thinking: "Thinking…",
  preparing: "The model is getting ready…",
  again: "Starting over…",
  leftOut: "The conversation is too long for the model: it didn’t see the first {left_out} messages.",
  count: "{count} of {limit} characters",
  tooLong: "{over} characters too many: {limit} is the limit",
  unexpected: "Something unexpected happened. Reload the page to go on.",

  "end.length": "The answer was cut here because it reached the longest allowed length.",
  "end.cancelled": "Stopped.",
  "end.failed": "The answer failed.",
  "end.interrupted": "The answer was interrupted because the server stopped in the middle of it.",
  "end.expired": "The answer wasn’t made in time.",

  // Everything else is said in the server's own words.
  "error.not_found": "That chat isn’t here any more.",
};

const portuguese = {
  chats: "Conversas",
  newChat: "Nova conversa",
  conversation: "Conversa",
  message: "Mensagem",
  ask: "Pergunte algo",
  send: "Enviar",
  stop: "Parar",
  hint: "Enter envia, Shift+Enter quebra a linha",
  latest: "Texto mais recente",
  earlier: "Mostrar mensagens anteriores",
  welcome: "O que você gostaria de saber?",
  promise: "A resposta continua enquanto você está fora: feche a página, volte e siga lendo.",
  user: "Você",
  assistant: "Resposta",
  thoughts: "Raciocínio",
  untitled: "Sem título",

  simulated: "Respostas simuladas, pois nenhum Ollama foi encontrado. Como ter respostas de verdade",
  step1: "Instale o Ollama a partir de ollama.com e inicie-o.",
  step2: "Baixe um modelo, por exemplo:",
  step3: "O Ollama está em outra máquina? Inicie o servidor com",
  takesOver: "As respostas de verdade assumem sozinhas assim que ele estiver no ar.",
  noModels: "Ainda não há modelo para responder. Baixe um: ollama pull llama3.2",

  connecting: "Conectando…",
  live: "Conectado",
  polling: "Conectado sem WebSocket",
  lost: "Conexão perdida, tentando de novo…",
  refused: "Sessão encerrada: recarregue a página",

  sending: "Enviando…",
  queued: "Aguardando: número {position} na fila",
  queuedFor: "Aguardando: número {position} na fila, cerca de {seconds} s",
  thinking: "Pensando…",
  preparing: "O modelo está se preparando…",
  again: "Recomeçando…",
  leftOut: "A conversa é longa demais para o modelo: ele não viu as primeiras {left_out} mensagens.",
  count: "{count} de {limit} caracteres",
  tooLong: "{over} caracteres a mais: o limite é {limit}",
  unexpected: "Algo inesperado aconteceu. Recarregue a página para continuar.",

  "end.length": "A resposta foi cortada aqui porque chegou ao tamanho máximo permitido.",
  "end.cancelled": "Interrompida.",
  "end.failed": "A resposta falhou.",
  "end.interrupted": "A resposta foi interrompida porque o servidor parou no meio dela.",
  "end.expired": "A resposta não ficou pronta a tempo.",

  "error.too_many": "Mensagens demais; espere um momento.",
  "error.turn_in_progress": "Uma resposta ainda está sendo escrita aqui; espere o fim ou interrompa-a.",
  "error.full": "O servidor está com todo o trabalho que suporta; tente de novo em um momento.",
  "error.draining": "O servidor está prestes a reiniciar; tente de novo em um momento.",
  "error.store_unavailable": "O banco de dados não aceita gravações agora; tente de novo em um momento.",
  "error.unavailable": "Agora não é possível; tente de novo em um momento.",
  "error.invalid": "A mensagem não pode ser enviada assim.",
  "error.too_large": "A mensagem é grande demais.",
  "error.not_found": "Essa conversa não está mais aqui.",
  "error.unreachable": "O servidor do modelo não responde.",
  "error.model_not_found": "O servidor do modelo não tem esse modelo.",
  "error.bad_request": "O servidor do modelo recusou o pedido.",
  "error.upstream_failed": "O servidor do modelo falhou durante a resposta.",
  "error.upstream_busy": "O servidor do modelo está ocupado demais.",
  "error.first_token_timeout": "O modelo não começou a responder a tempo.",
  "error.stalled": "O modelo parou no meio da resposta.",
  "error.bad_upstream_data": "O servidor do modelo enviou algo que não pode ser lido.",
  "error.no_done": "A resposta se interrompeu: o servidor do modelo não disse que estava completa.",
};

const inPortuguese = navigator.language.toLowerCase().startsWith("pt");
const words = inPortuguese ? portuguese : english;

export function say(word, facts = {}) {
  return words[word].replace(/\{(\w+)\}/g, (_, name) => Number(facts[name]).toLocaleString(navigator.language));
}

// Says what a problem document, or the error of an answer, means.
export function explain({ code, detail }) {
  return words[`error.${code}`] ?? detail ?? words.unexpected;
}

// Says how an answer ended, by its reason or, where that isn't known, its status.
export function explainEnd(reason, error) {
  if (["queued", "running", "completed"].includes(reason)) return "";
  if (error && !(`end.${error.code}` in words)) return explain(error);
  return words[`end.${reason}`] ?? words["end.failed"];
}

export function translatePage() {
  if (!inPortuguese) return;
  document.documentElement.lang = "pt-BR";
  for (const element of document.querySelectorAll("[data-word], [data-label], [data-placeholder]")) {
    const { word, label, placeholder } = element.dataset;
    if (word) element.textContent = say(word);
    if (label) element.ariaLabel = say(label);
    if (placeholder) element.placeholder = say(placeholder);
  }
}
