// Decides when a head that arrives in pieces is worth parsing, at a cost of O(1) per octet.
//
// Parsing after each octet would cost O(n^2). The scanner looks only at new octets, and says yes
// when the empty line is there, or something that no head can survive: a bare CR or LF, a control
// octet, too many octets. The parser then finds the reason.

import { crOctet, lfOctet, octetClass, valueOctet } from "./octets.ts";

/** Of the last octets seen. */
const Tail = { Text: 0, Cr: 1, Crlf: 2, CrlfCr: 3 } as const;

export class HeadScanner {
  readonly #headBytesMax: number;
  /** Octets seen since the head's start. */
  #seen = 0;
  #tail: number = Tail.Text;

  /** `headBytesMax` as given to the parser. */
  constructor(limits: { readonly headBytesMax: number }) {
    this.#headBytesMax = limits.headBytesMax;
  }

  /** Begins a new head; needed when one was parsed without asking here. */
  reset(): void {
    this.#seen = 0;
    this.#tail = Tail.Text;
  }

  /**
   * True when `parse` has something to say about `bytes[start..end)`; then it does not answer 0.
   * `start` is the head's start at every call; the octets may have moved in between. After true the
   * next call begins a new head, since this one is either read or refused.
   */
  scan(bytes: Uint8Array, start: number, end: number): boolean {
    let at = start + this.#seen;
    let tail = this.#tail;
    while (at < end) {
      const octet = bytes[at]!;
      if ((octetClass[octet]! & valueOctet) !== 0 && (tail & 1) === 0) {
        tail = Tail.Text;
      } else if (octet === crOctet && (tail & 1) === 0) {
        tail = tail === Tail.Crlf ? Tail.CrlfCr : Tail.Cr;
      } else if (octet === lfOctet && tail === Tail.Cr) {
        tail = Tail.Crlf;
      } else {
        this.reset();
        return true;
      }
      at++;
    }
    this.#seen = end - start;
    this.#tail = tail;
    if (this.#seen < this.#headBytesMax) return false;
    this.reset();
    return true;
  }
}
