// Moves one message body from one connection to another, checking its framing on the way in and
// writing our own on the way out (RFC 9112 section 6: framing is made anew, never copied).
//
// Small pieces are gathered in the writer, behind the head that is already there, so that head and
// body leave in one call; large ones are sent from the buffer they were received in.

import type { Stream } from "../io/stream.ts";
import * as limitsDefault from "../limits.ts";
import {
  ChunkEvent,
  ChunkedDecoder,
  type TrailerLimits,
  writeChunkHead,
} from "../protocol/chunked.ts";
import { Framing } from "../protocol/framing.ts";
import type { ByteWriter } from "./byte-writer.ts";

/** Up to this many bytes are copied behind what is gathered; a copy is cheaper than a second send. */
const gatherBytesMax = 16 * 1024;
/** "ffffffff\r\n" and the CRLF behind the data. */
const chunkOverheadBytes = 16;

const crlf = 0x0d0a;

/** Where bytes go. */
export type Sink = Pick<Stream, "write">;

export class BodyRelay {
  /** The body is complete, and its end has been written. */
  done = true;
  /** Why the framing is broken; "" while it is not. */
  error = "";
  /** Body bytes that were relayed, without framing. */
  bytes = 0;
  framingOut: number = Framing.None;
  readonly #limits: TrailerLimits;
  #framingIn: number = Framing.None;
  #remaining = 0;
  #decoder: ChunkedDecoder | undefined;

  constructor(limits: TrailerLimits = limitsDefault) {
    this.#limits = limits;
  }

  begin(framingIn: number, contentLength: number, framingOut: number): void {
    this.#framingIn = framingIn;
    this.#remaining = contentLength;
    this.framingOut = framingOut;
    this.error = "";
    this.bytes = 0;
    this.done = framingIn === Framing.None || (framingIn === Framing.Length && contentLength === 0);
    if (framingIn === Framing.Chunked) {
      if (this.#decoder === undefined) this.#decoder = new ChunkedDecoder(this.#limits);
      else this.#decoder.reset();
    }
  }

  /**
   * Takes bytes[at..end), writes to `writer` or straight to `stream`, and answers where it stopped:
   * before `end` when the body is done or broken. The caller flushes the writer.
   */
  feed(bytes: Uint8Array, at: number, end: number, writer: ByteWriter, stream: Sink): number {
    // Behind a message without a body stands the next one, or something that nobody may see.
    if (this.done) return at;
    if (this.#framingIn === Framing.Chunked)
      return this.#feedChunked(bytes, at, end, writer, stream);
    let stop = end;
    if (this.#framingIn === Framing.Length) {
      if (end - at > this.#remaining) stop = at + this.#remaining;
      this.#remaining -= stop - at;
      if (this.#remaining === 0) this.done = true;
    }
    if (stop > at) this.#put(bytes, at, stop, writer, stream);
    return stop;
  }

  /** The peer ended: complete if only that could end it (RFC 9112 section 6.3, rule 8). */
  finish(writer: ByteWriter): boolean {
    if (this.done) return true;
    if (this.#framingIn !== Framing.UntilClose) return false;
    this.#close(writer);
    return true;
  }

  #feedChunked(
    bytes: Uint8Array,
    from: number,
    end: number,
    writer: ByteWriter,
    stream: Sink,
  ): number {
    const decoder = this.#decoder!;
    let at = from;
    for (;;) {
      const event = decoder.step(bytes, at, end);
      at = decoder.next;
      if (event === ChunkEvent.Data) {
        this.#put(bytes, decoder.dataStart, decoder.dataEnd, writer, stream);
      } else if (event === ChunkEvent.End) {
        this.#close(writer);
        return at;
      } else {
        if (event === ChunkEvent.Error) this.error = decoder.error;
        return at;
      }
    }
  }

  #close(writer: ByteWriter): void {
    this.done = true;
    if (this.framingOut !== Framing.Chunked) return;
    writer.reserve(5);
    writer.byte(48);
    writer.byte(13);
    writer.byte(10);
    writer.byte(13);
    writer.byte(10);
  }

  #put(bytes: Uint8Array, start: number, end: number, writer: ByteWriter, stream: Sink): void {
    const count = end - start;
    this.bytes += count;
    const chunked = this.framingOut === Framing.Chunked;
    if (chunked) {
      writer.reserve(chunkOverheadBytes);
      writer.length = writeChunkHead(writer.bytes, writer.length, count);
    }
    if (writer.length + count <= gatherBytesMax) writer.range(bytes, start, end);
    else {
      flush(writer, stream);
      stream.write(bytes, start, end);
    }
    if (chunked) {
      writer.byte(crlf >> 8);
      writer.byte(crlf & 255);
    }
  }
}

/** Sends what was gathered. False: the stream's queue is over its high mark. */
export function flush(writer: ByteWriter, stream: Sink): boolean {
  if (writer.length === 0) return true;
  const { length } = writer;
  writer.length = 0;
  return stream.write(writer.bytes, 0, length);
}
