/** The recordings that the server's own codecs are tested with, followed by the rules of this client. */

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

import { type AnswerFrame, flawOf } from "../../src/frames.ts";
import { hex, sha256 } from "../../src/hash.ts";
import { ownSha256 } from "../../src/own-sha256.ts";
import { Reading } from "../../src/reading.ts";

interface Transcript {
  steps: ({ open: number; after: string | null } | { on: number; frame: AnswerFrame } | { close: number })[];
  expected: { answer: string; thinking: string; tool_calls: unknown[]; reason: string; id: string };
}

const FOLDER = fileURLToPath(new URL("../../../tests/transcripts/", import.meta.url));
const NAMES = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));
const recorded = (name: string): Transcript => JSON.parse(readFileSync(FOLDER + name, "utf-8"));

/** Follow a recording; each frame may be handed to the reading more than once. */
function follow({ steps }: Transcript, times = 1): Reading {
  const reading = new Reading();
  let connection: number | null = null;
  for (const step of steps) {
    if ("open" in step) {
      expect(reading.after).toBe(step.after);
      connection = step.open;
    } else if ("close" in step) connection = null;
    else if (step.on === connection) {
      for (let time = 0; time < times; time++) reading.apply(step.frame);
    }
  }
  return reading;
}

test("there are recordings", () => expect(NAMES.length).toBeGreaterThan(10));

describe.each(NAMES)("%s", (name) => {
  const transcript = recorded(name);
  const { expected } = transcript;

  test.each([1, 2])("ends with the expected text, each frame %i times", async (times) => {
    const reading = follow(transcript, times);

    expect(reading).toMatchObject({ text: expected.answer, thinking: expected.thinking, after: expected.id });
    expect(reading.toolCalls).toEqual(expected.tool_calls);
    expect(reading.end?.reason).toBe(expected.reason);
    expect(await sha256(reading.text)).toBe(reading.end?.sha256);
  });

  test("every frame is one that is known", () => {
    for (const step of transcript.steps) {
      if ("frame" in step) expect(flawOf(step.frame, "generation", step.frame.generation)).toBeNull();
    }
  });

  test("whoever comes later gets the same, joined", () => {
    const late = new Reading();
    const reading = follow(transcript);
    for (const frame of reading.frames("gen")) late.apply({ ...frame, id: `${Math.random()}` } as AnswerFrame);

    expect(late).toMatchObject({ text: expected.answer, thinking: expected.thinking });
    expect(late.toolCalls).toEqual(expected.tool_calls);
    expect(late.end?.reason).toBe(expected.reason);
  });
});

describe("a hash by hand", () => {
  test.each([0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 100_000])("of %i bytes is the browser's", async (length) => {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 31) % 256);
    const theirs = hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
    expect(ownSha256(bytes)).toEqual(theirs);
  });
});
