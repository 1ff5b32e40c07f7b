// An Io without sockets that keeps nothing: it says which stream was written to, and forgets the bytes.
//
// What a request costs over it is what the worker's JavaScript costs, and nothing else.

import type { Io } from "../../src/io/io.ts";
import type { Stream, StreamEvents } from "../../src/io/stream.ts";

const nobody: StreamEvents = {
  onConnect() {},
  onData() {},
  onEnd() {},
  onWritable() {},
  onClose() {},
};

export class BareStream implements Stream {
  readonly remoteAddress = "127.0.0.1";
  readonly remotePort = 50_000;
  readonly localAddress = "127.0.0.1";
  readonly localPort = 8080;
  readonly queuedBytes = 0;
  readonly unacknowledgedBytes = 0;
  events: StreamEvents;
  /** Bytes written since somebody set this to 0. */
  written = 0;
  /** The last bytes written, where they lie; valid until the next write of anybody. */
  last: Uint8Array | undefined = undefined;
  lastStart = 0;
  isGone = false;

  constructor(events: StreamEvents = nobody) {
    this.events = events;
  }

  write(bytes: Uint8Array, start: number, end: number): boolean {
    this.written += end - start;
    this.last = bytes;
    this.lastStart = start;
    return true;
  }

  end(): void {}

  destroy(): void {
    this.isGone = true;
  }

  pause(): void {}

  resume(): void {}
}

export class BareIo implements Io {
  readonly name = "bare";
  readonly dialled: BareStream[] = [];

  listen(): Promise<{ close(): void }> {
    return Promise.resolve({ close() {} });
  }

  dial(_host: string, _port: number, events: StreamEvents): Stream {
    const stream = new BareStream(events);
    this.dialled.push(stream);
    return stream;
  }
}
