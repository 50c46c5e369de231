/** What the page has to say about itself: one thing that went wrong, and one that can be undone. */

import { isPassing, Problem, Withdrawn } from "../../src/errors.ts";
import { explain, say } from "../words/say.ts";

interface Undoable {
  readonly text: string;
  readonly undo: () => void;
}

class Notices {
  problem = $state("");
  undoable = $state.raw<Undoable | null>(null);

  complain(error: unknown): void {
    if (error instanceof Withdrawn) return;
    if (error instanceof Problem) this.problem = explain({ code: error.code, detail: error.message });
    else if (isPassing(error)) this.problem = say("lost");
    else this.#wonder(error);
  }

  clear(): void {
    this.problem = "";
  }

  #wonder(error: unknown): void {
    this.problem = say("unexpected");
    console.error(error);
  }
}

export const notices = new Notices();
