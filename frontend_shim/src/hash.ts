/** SHA-256 of a text: by the browser, or by hand where a page isn't served securely and the browser won't. */

export async function sha256(text: string): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  const subtle = globalThis.crypto?.subtle;
  if (subtle) return hex(new Uint8Array(await subtle.digest("SHA-256", bytes)));
  // A file of its own: most pages never need it.
  return (await import("./own-sha256.ts")).ownSha256(bytes);
}

export const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
