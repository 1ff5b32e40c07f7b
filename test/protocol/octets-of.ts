// Octets for parser tests: a text as latin1, in a larger array whose rest is poison.

/** An octet that no head may contain: a parser that reads it answers differently. */
const poison = 0x01;

/** `text` at `at` (default 0), poison before and behind. */
export function poisoned(text: string, at = 0): Uint8Array {
  const bytes = new Uint8Array(at + text.length + 32).fill(poison);
  for (let index = 0; index < text.length; index++) bytes[at + index] = text.charCodeAt(index);
  return bytes;
}

export function textOf(bytes: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...bytes.subarray(start, end));
}
