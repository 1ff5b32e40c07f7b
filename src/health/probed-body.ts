// The beginning of an answer's body, read for the end and for one text, and forgotten.
//
// Reads it to its end where that is near, so that the backend is not reset in the middle of a small answer.

import { probeBytesMax, trailerBytesMax, trailerFieldsMax } from "../limits.ts";
import { ChunkEvent, ChunkedDecoder } from "../protocol/chunked.ts";
import { Framing } from "../protocol/framing.ts";

const nothing = Buffer.alloc(0);

export class ProbedBody {
  /** It has ended, as its framing says. */
  isWhole: boolean;
  /** The text has been found. */
  isFound = false;
  /** Why the framing is broken; "" while it is not. */
  error = "";
  /** Of the body, without framing. */
  #bytes = 0;
  /** Octets received, framing included. */
  #received = 0;
  #remaining: number;
  readonly #framing: number;
  readonly #decoder: ChunkedDecoder | undefined;
  readonly #wanted: Buffer | undefined;
  /** The last octets, which may be the beginning of the text. */
  #tail: Buffer = nothing;

  /** @param framing A `Framing`. @param wanted The text; undefined: none is looked for. */
  constructor(framing: number, contentLength: number, wanted: Buffer | undefined) {
    this.#framing = framing;
    this.#remaining = contentLength;
    this.#wanted = wanted;
    this.#decoder =
      framing === Framing.Chunked
        ? new ChunkedDecoder({ trailerBytesMax, trailerFieldsMax })
        : undefined;
    this.isWhole = framing === Framing.None || (framing === Framing.Length && contentLength === 0);
  }

  /** There is more of it than was looked at. */
  get isCut(): boolean {
    return !this.isWhole || this.#bytes > probeBytesMax;
  }

  /** As much has come as is looked at. */
  get isEnough(): boolean {
    return this.#bytes >= probeBytesMax || this.#received >= 2 * probeBytesMax;
  }

  /** Takes bytes[start..end). */
  take(bytes: Uint8Array, start: number, end: number): void {
    if (this.isWhole || this.error !== "") return;
    this.#received += end - start;
    if (this.#decoder !== undefined) return this.#takeChunked(this.#decoder, bytes, start, end);
    const length =
      this.#framing === Framing.Length ? Math.min(end - start, this.#remaining) : end - start;
    this.#look(bytes, start, start + length);
    this.#remaining -= length;
    this.isWhole = this.#framing === Framing.Length && this.#remaining === 0;
  }

  /** The backend sends no more. */
  end(): void {
    if (this.isWhole || this.error !== "") return;
    if (this.#framing === Framing.UntilClose) this.isWhole = true;
    else this.error = "closed in the middle of its body";
  }

  #takeChunked(decoder: ChunkedDecoder, bytes: Uint8Array, start: number, end: number): void {
    for (let at = start; ; at = decoder.next) {
      switch (decoder.step(bytes, at, end)) {
        case ChunkEvent.Data:
          this.#look(bytes, decoder.dataStart, decoder.dataEnd);
          if (this.isEnough) return;
          break;
        case ChunkEvent.End:
          this.isWhole = true;
          return;
        case ChunkEvent.Error:
          this.error = `not HTTP: ${decoder.error}`;
          return;
        default:
          return;
      }
    }
  }

  #look(bytes: Uint8Array, start: number, end: number): void {
    const length = Math.min(end - start, probeBytesMax - this.#bytes);
    this.#bytes += end - start;
    if (this.#wanted === undefined || this.isFound || length <= 0) return;
    const piece = Buffer.concat([this.#tail, bytes.subarray(start, start + length)]);
    this.isFound = piece.includes(this.#wanted);
    this.#tail = piece.subarray(Math.max(0, piece.length - this.#wanted.length + 1));
  }
}
