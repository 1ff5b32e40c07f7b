// The key that seals sticky cookies, and how it is written. Its value is in no message,
// log or answer.

/** AES-256 (FIPS 197). */
export const sealingKeyBytes = 32;

export type SealingKey = Uint8Array;

/** Base64 (RFC 4648 section 4): 44 characters. */
export function encodeSealingKey(key: SealingKey): string {
  return Buffer.from(key).toString("base64");
}

/** From 44 characters of base64 or 64 of hexadecimal, blanks around them left out; undefined: it is neither. */
export function decodeSealingKey(text: string): SealingKey | undefined {
  const word = text.trim();
  if (/^[0-9a-f]{64}$/i.test(word)) return Uint8Array.from(Buffer.from(word, "hex"));
  const key = Uint8Array.from(Buffer.from(word, "base64"));
  // Decoding passes over what is no base64; encoding again shows that there was none.
  return key.length === sealingKeyBytes && encodeSealingKey(key) === word ? key : undefined;
}

export function isSameKey(a: SealingKey | undefined, b: SealingKey | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
