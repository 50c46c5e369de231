/** All that changed is painted together, once a frame; who paints last sees the page as it then is. */

type Paint = () => void;

const waiting = new Set<Paint>();
const afterwards = new Set<Paint>();
/** Milliseconds of a frame that painting may take before what still waits is left to the next one. */
const MOST_MS = 6;
let planned = false;

/** Have `paint` called in the next frame, once, however often this is called before. */
export function paintSoon(paint: Paint): void {
  waiting.add(paint);
  plan();
}

export const forgetPainting = (paint: Paint): boolean => waiting.delete(paint);

/** Be called after each painting; what is given back ends it. */
export function afterPainting(paint: Paint): () => void {
  afterwards.add(paint);
  return () => afterwards.delete(paint);
}

function plan(): void {
  if (!planned) requestAnimationFrame(paintAll);
  planned = true;
}

function paintAll(): void {
  planned = false;
  const until = performance.now() + MOST_MS;
  // Who asks again while painting is painted in the next frame.
  const now = Array.from(waiting);
  for (const paint of now) {
    waiting.delete(paint);
    paint();
    if (performance.now() > until) break;
  }
  for (const paint of afterwards) paint();
  if (waiting.size > 0) plan();
}
