// Which octets may stand where in an HTTP/1.1 head, as tables of 256 entries.
//
// Knows: the character classes of RFC 9110 section 5.6 and RFC 3986, and nothing else.
// A table is read once per octet and never branches on the value: that is what makes one pass
// over a head cheap.

export const crOctet = 13;
export const lfOctet = 10;
export const spaceOctet = 0x20;
export const colonOctet = 0x3a;
export const semicolonOctet = 0x3b;
export const commaOctet = 0x2c;
export const slashOctet = 0x2f;

/** Optional white space, SP or HTAB (RFC 9110 section 5.6.3). */
export function isBlank(octet: number): boolean {
  return octet === 0x20 || octet === 9;
}

/** Part of a method or field name (tchar, RFC 9110 section 5.6.2). */
export const tokenOctet = 1;
/** Part of a field value or reason phrase: HTAB, SP, VCHAR, obs-text (RFC 9110 section 5.5). */
export const valueOctet = 2;
/** Part of the path of a request target. */
export const pathOctet = 4;
/** Part of the query of a request target. */
export const queryOctet = 8;
/** Part of a host name: letters, digits, "-", "." and "_", which is all that a domain can have. */
export const hostOctet = 16;
/** Part of an IP literal between its brackets. */
export const literalOctet = 32;

/** The classes of every octet, or-ed. */
export const octetClass: Uint8Array = new Uint8Array(256);

/** Every octet in lower case (ASCII only). */
export const lowerOctet: Uint8Array = new Uint8Array(256);

/** The value of a hexadecimal digit, 255 for everything else. */
export const hexDigit: Uint8Array = new Uint8Array(256).fill(255);

function allow(flag: number, octets: string): void {
  for (let index = 0; index < octets.length; index++) {
    octetClass[octets.charCodeAt(index)]! |= flag;
  }
}

function allowRange(flag: number, first: number, last: number): void {
  for (let octet = first; octet <= last; octet++) octetClass[octet]! |= flag;
}

const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

allow(tokenOctet, `${alphanumeric}!#$%&'*+-.^_\`|~`);

allow(valueOctet, "\t ");
allowRange(valueOctet, 0x21, 0x7e);
allowRange(valueOctet, 0x80, 0xff);

// What RFC 3986 leaves out of a URI is refused, except what browsers send unescaped all the same
// (WHATWG URL: ^ ` { | } and, in a query, \). A backslash in a path is read as a slash by some
// servers and not by others, so there it is refused.
allow(pathOctet | queryOctet, `${alphanumeric}-._~:/@!$&'()*+,;=%[]^\`{|}`);
allow(queryOctet, "?\\");

allow(hostOctet, `${alphanumeric}-._`);
allow(literalOctet, "0123456789ABCDEFabcdef:.");

for (let octet = 0; octet < 256; octet++) {
  lowerOctet[octet] = octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet;
}
for (let value = 0; value < 16; value++) {
  const digit = value.toString(16);
  hexDigit[digit.charCodeAt(0)] = value;
  hexDigit[digit.toUpperCase().charCodeAt(0)] = value;
}

/** The octets of an ASCII text; for tables that are made once. */
export function octetsOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Whether the range holds `word` (given in lower case), whatever its case. */
export function equalsWord(
  bytes: Uint8Array,
  start: number,
  end: number,
  word: Uint8Array,
): boolean {
  const length = end - start;
  if (length !== word.length) return false;
  for (let index = 0; index < length; index++) {
    if (lowerOctet[bytes[start + index]!] !== word[index]) return false;
  }
  return true;
}
