/** How long to wait before another try. */

/** The longest wait without being told to wait longer, in seconds. */
const LONGEST_S = 30;

/**
 * Full jitter, in milliseconds: somewhere in 1, 2, 4 … 30 seconds after the first, second, third … failure, so that
 * after a restart not everybody comes back in the same moment. What the server asks for is never cut short.
 */
export function backoff(failures: number, random: () => number, retryAfterS = 0): number {
  const jitter = random() * 1000 * Math.min(2 ** failures, LONGEST_S);
  return retryAfterS > 0 ? retryAfterS * 1000 + Math.min(jitter, 1000) : jitter;
}
