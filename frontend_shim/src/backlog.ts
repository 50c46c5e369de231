/** Whoever listens gets every frame; what a slow one hasn't taken yet is joined, so that it costs no memory. */

import type { AnswerFrame, ConversationFrame } from "./frames.ts";

/** Puts a frame to those that wait, joined with them where that says the same. */
export type Join<Frame> = (frames: Frame[], frame: Frame) => Frame[];

interface Backlog<Frame> {
  frames: Frame[];
  wake: () => void;
}

export class Listeners<Frame> {
  readonly #backlogs = new Set<Backlog<Frame>>();
  readonly #join: Join<Frame>;
  #over = false;
  #error: unknown = null;

  constructor(join: Join<Frame>) {
    this.#join = join;
  }

  add(frame: Frame): void {
    for (const backlog of this.#backlogs) {
      backlog.frames = this.#join(backlog.frames, frame);
      backlog.wake();
    }
  }

  /** Nothing follows. With an error, whoever listens gets it after the last frame. */
  finish(error: unknown = null): void {
    this.#over = true;
    this.#error = error;
    for (const backlog of this.#backlogs) backlog.wake();
  }

  /** Listen from now on; `before` gives what there was so far. */
  async *listen(before: () => Frame[]): AsyncGenerator<Frame, void, undefined> {
    const backlog: Backlog<Frame> = { frames: before(), wake: () => undefined };
    this.#backlogs.add(backlog);
    try {
      while (true) {
        const frame = backlog.frames.shift();
        if (frame !== undefined) yield frame;
        else if (this.#error) throw this.#error;
        else if (this.#over) return;
        else await new Promise<void>((resolve) => (backlog.wake = resolve));
      }
    } finally {
      this.#backlogs.delete(backlog);
    }
  }
}

/** Deltas of one channel become one; of queue places the newest counts; a reset makes all before it void. */
export function joinAnswer(frames: AnswerFrame[], frame: AnswerFrame): AnswerFrame[] {
  const last = frames.at(-1);
  if (frame.type === "reset") return [frame];
  if (last?.type === "delta" && frame.type === "delta" && last.channel === frame.channel) {
    frame = { ...frame, text: last.text + frame.text };
    frames.pop();
  } else if (last?.type === "queued") frames.pop();
  frames.push(frame);
  return frames;
}

/** State, not history: of each thing its newest frame is enough. */
export function joinChanges(frames: ConversationFrame[], frame: ConversationFrame): ConversationFrame[] {
  if (frame.type === "reset") return [frame];
  return [...frames.filter((earlier) => thing(earlier) !== thing(frame)), frame];
}

const thing = (frame: ConversationFrame): string => `${frame.type} ${"resource" in frame && frame.resource.id}`;
