/** What can go wrong. */

/** Nobody answered, or the connection broke. Worth another try. */
export class Lost extends Error {
  override name = "Lost";

  constructor(message = "The connection was lost.", options?: ErrorOptions) {
    super(message, options);
  }
}

/** A connection is open, but what has to come over it doesn't: something on the way holds it back. */
export class Silent extends Lost {
  override name = "Silent";
}

/** Nobody waits for it any more: a message was taken back, or an answer left. */
export class Withdrawn extends Error {
  override name = "Withdrawn";
}

/** The server said no: the facts are those of its problem document. */
export class Problem extends Error {
  override name = "Problem";
  /** The HTTP status. */
  readonly status: number;
  /** What happened, in a word. */
  readonly code: string;
  /** Seconds after which another try is worth it; 0 where none are told. */
  readonly retryAfter: number;
  /** All members of the problem document. */
  readonly facts: Record<string, unknown>;

  constructor(facts: Record<string, unknown>) {
    super(String(facts.detail ?? `The server answered ${String(facts.status)}.`));
    this.facts = facts;
    this.status = Number(facts.status) || 0;
    this.code = String(facts.code ?? "unknown");
    this.retryAfter = Number(facts.retry_after) || 0;
  }
}

/** Whether the same may fare better in a moment. */
export function isPassing(error: unknown): error is Lost | Problem {
  if (error instanceof Problem) return error.status >= 500 || error.status === 429 || error.status === 408;
  return error instanceof Lost;
}
