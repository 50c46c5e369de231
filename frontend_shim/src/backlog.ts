/** Whoever listens gets every frame; what a slow one hasn't taken yet is joined, so that it costs no memory. */

import type { AnswerFrame, ConversationFrame } from "./frames.ts";

/** Puts a frame to those that wait, joined with them where that says the same. */
export type Join<Frame> = (frames: Frame[], frame: Frame) => Frame[];

interface Backlog<Frame> {
  frames: Frame[];
  wake: () => void;
  left: boolean;
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

  /** Listen from the first look on, for which `before` gives what there was so far; `left` is told of the end. */
  listen(before: () => Frame[], left?: () => void): AsyncGenerator<Frame, void, undefined> {
    const backlog: Backlog<Frame> = { frames: [], wake: () => undefined, left: false };
    const frames = this.#read(backlog, before, left);
    const end = frames.return.bind(frames);
    // A generator that waits would hear of its end only with the next frame, which may never come.
    frames.return = (value) => {
      backlog.left = true;
      backlog.wake();
      return end(value);
    };
    return frames;
  }

  async *#read(backlog: Backlog<Frame>, before: () => Frame[], left?: () => void): AsyncGenerator<Frame, void, undefined> {
    backlog.frames = before();
    this.#backlogs.add(backlog);
    try {
      while (!backlog.left) {
        const frame = backlog.frames.shift();
        if (frame !== undefined) yield frame;
        else if (this.#error) throw this.#error;
        else if (this.#over) return;
        else await new Promise<void>((resolve) => (backlog.wake = resolve));
      }
    } finally {
      this.#backlogs.delete(backlog);
      left?.();
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
