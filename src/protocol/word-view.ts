// Octets four at a time: a view of the array that octets come in, which is the same one again and again.
//
// A view is made when an array comes for the second time in a row: an adapter that brings another array with each read
// would have one made for each.

const noBytes = new Uint8Array(0);

export class WordView {
  #bytes: Uint8Array = noBytes;
  #view: DataView | undefined;

  /** A view of these bytes, if they are those of the last call, too. */
  of(bytes: Uint8Array): DataView | undefined {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#view = undefined;
      return undefined;
    }
    this.#view ??= new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return this.#view;
  }

  /** The same without asking for one: undefined when there is none of these bytes now. */
  made(bytes: Uint8Array): DataView | undefined {
    return bytes === this.#bytes ? this.#view : undefined;
  }
}

/** Where the first four octets begin that are not all printable: tabs, controls and DEL are left to a closer look. */
export function skipPrintable(view: DataView, start: number, end: number): number {
  let at = start;
  while (at + 4 <= end) {
    const word = view.getInt32(at, true);
    const isDelete = word ^ 0x7f7f7f7f;
    // An octet below 0x20, or one that is 0x7f (Bit Twiddling Hacks: hasless, haszero).
    const below = (word - 0x20202020) & ~word;
    const zero = (isDelete - 0x01010101) & ~isDelete;
    if (((below | zero) & 0x80808080) !== 0) break;
    at += 4;
  }
  return at;
}
