/** A message of a person's, as the page has it: at once, and then as the server has it. */

import type { Message } from "../../src/resources.ts";

export class Question {
  readonly kind = "question";
  readonly key = crypto.getRandomValues(new Uint32Array(1))[0]!;
  readonly content: string;
  readonly ref: string | null;
  /** Null until the server has accepted it. */
  id = $state<string | null>(null);
  versions = $state.raw<readonly string[]>([]);
  /** The answer it follows: editing it means to send another one after that. */
  parent: string | null = null;

  constructor(content: string, ref: string | null) {
    this.content = content;
    this.ref = ref;
  }

  static of(message: Message): Question {
    const question = new Question(message.content, message.ref);
    question.be(message);
    return question;
  }

  /** Be what the server has. */
  be({ id, parent, versions }: Message): void {
    this.id = id;
    this.parent = parent;
    this.versions = versions;
  }
}
