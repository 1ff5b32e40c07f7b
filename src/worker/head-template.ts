// A head that was written before, to be written again: the octets, and where the parts are that differ each time.

import { copyBytes } from "../io/copy-bytes.ts";
import type { ByteWriter } from "./byte-writer.ts";

const noBytes = new Uint8Array(0);

export class HeadTemplate {
  /** What it was written for; whoever asks with something else gets none. */
  key: object | undefined = undefined;
  /** For what something was written last: kept only for what comes twice in a row. */
  candidate: object | undefined = undefined;
  /** Of one for a backend: where the time stands, and the request id. */
  timeAt = 0;
  idAt = 0;
  /** The id stands in what was received, and goes on; below 0: it is made anew each time. */
  idStart = -1;
  idEnd = -1;
  #bytes: Uint8Array = noBytes;
  #length = 0;

  /** Nothing was written. */
  clear(): void {
    this.key = this.candidate = undefined;
    this.#length = 0;
  }

  /** Keeps what `writer` holds from `start` on. */
  keep(key: object, writer: ByteWriter, start: number): void {
    const length = writer.length - start;
    if (this.#bytes.length < length) this.#bytes = new Uint8Array(length);
    copyBytes(writer.bytes, start, writer.length, this.#bytes, 0);
    this.#length = length;
    this.key = key;
  }

  /** Appends what was kept. */
  writeTo(writer: ByteWriter): void {
    writer.range(this.#bytes, 0, this.#length);
  }
}
