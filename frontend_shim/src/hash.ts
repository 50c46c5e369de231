/** SHA-256 of a text: by the browser, or by hand where a page isn't served securely and the browser won't. */

const primes = (count: number): number[] => {
  const found: number[] = [];
  for (let n = 2; found.length < count; n++) if (found.every((prime) => n % prime)) found.push(n);
  return found;
};

/** The first 32 bits of the fraction of a root. */
const fraction = (root: number): number => ((root % 1) * 2 ** 32) | 0;

export async function sha256(text: string): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  const subtle = globalThis.crypto?.subtle;
  return hex(subtle ? new Uint8Array(await subtle.digest("SHA-256", bytes)) : ownSha256(bytes));
}

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** FIPS 180-4, section 6.2. */
export function ownSha256(bytes: Uint8Array): Uint8Array {
  const first = primes(64);
  const constants = first.map((prime) => fraction(Math.cbrt(prime)));
  const state = first.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));
  const padded = pad(bytes);
  const words = new Int32Array(64);
  for (let block = 0; block < padded.byteLength; block += 64) {
    expand(padded, block, words);
    const mixed = mix(state, words, constants);
    for (let i = 0; i < 8; i++) state[i] = (state[i]! + mixed[i]!) | 0;
  }
  const digest = new DataView(new ArrayBuffer(32));
  state.forEach((word, i) => digest.setInt32(4 * i, word));
  return new Uint8Array(digest.buffer);
}

/** A one bit, zeros, and the length in bits, so that blocks of 64 bytes come out even. */
function pad(bytes: Uint8Array): DataView {
  const padded = new Uint8Array((((bytes.length + 8) >> 6) + 1) << 6);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, bytes.length / 2 ** 29);
  view.setUint32(padded.length - 4, bytes.length << 3);
  return view;
}

const rotated = (word: number, by: number): number => (word >>> by) | (word << (32 - by));

function expand(padded: DataView, block: number, words: Int32Array): void {
  for (let i = 0; i < 64; i++) {
    if (i < 16) {
      words[i] = padded.getInt32(block + 4 * i);
      continue;
    }
    const early = words[i - 15]!;
    const late = words[i - 2]!;
    const small = rotated(early, 7) ^ rotated(early, 18) ^ (early >>> 3);
    const large = rotated(late, 17) ^ rotated(late, 19) ^ (late >>> 10);
    words[i] = words[i - 16]! + small + words[i - 7]! + large;
  }
}

function mix(state: number[], words: Int32Array, constants: number[]): number[] {
  let [a, b, c, d, e, f, g, h] = state as [number, number, number, number, number, number, number, number];
  for (let i = 0; i < 64; i++) {
    const large = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
    const one = (h + large + ((e & f) ^ (~e & g)) + constants[i]! + words[i]!) | 0;
    const small = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
    const two = (small + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
  }
  return [a, b, c, d, e, f, g, h];
}
