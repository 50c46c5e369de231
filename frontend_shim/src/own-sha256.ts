/** SHA-256 by hand, for pages that aren't served securely. */

/** FIPS 180-4, section 6.2. */
export function ownSha256(bytes: Uint8Array): string {
  const constants = fractions(Math.cbrt);
  let state = fractions(Math.sqrt).slice(0, 8);
  const words = wordsOf(bytes);
  for (let block = 0; block < words.length; block += 16) {
    const mixed = mix(state, words.slice(block, block + 16), constants);
    state = state.map((word, i) => (word + mixed[i]!) | 0);
  }
  return state.map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

/** The first 32 bits of the fraction of a root of each of the first 64 primes. */
function fractions(root: (prime: number) => number): number[] {
  const primes: number[] = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime)) primes.push(n);
  return primes.map((prime) => ((root(prime) % 1) * 2 ** 32) | 0);
}

/** The text, a one bit, zeros, and the length in bits, so that blocks of 16 words come out even. */
function wordsOf(bytes: Uint8Array): Int32Array {
  const { length } = bytes;
  const words = new Int32Array(((length + 72) >> 6) << 4);
  for (let i = 0; i <= length; i++) words[i >> 2]! |= (bytes[i] ?? 0x80) << (24 - 8 * (i % 4));
  words[words.length - 1] = length * 8;
  return words;
}

const rotated = (word: number, by: number): number => (word >>> by) | (word << (32 - by));

function mix(state: number[], block: Int32Array, constants: number[]): number[] {
  let [a, b, c, d, e, f, g, h] = state as [number, number, number, number, number, number, number, number];
  const words = Array.from(block);
  for (let i = 0; i < 64; i++) {
    const old = words[i - 15]!;
    const young = words[i - 2]!;
    words[i] ??=
      ((rotated(old, 7) ^ rotated(old, 18) ^ (old >>> 3)) +
        (rotated(young, 17) ^ rotated(young, 19) ^ (young >>> 10)) +
        words[i - 16]! +
        words[i - 7]!) |
      0;
    const one = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + ((e & f) ^ (~e & g)) + constants[i]! + words[i]!;
    const two = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
  }
  return [a, b, c, d, e, f, g, h];
}
