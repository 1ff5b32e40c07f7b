// Two streams of the direct adapter, one linked to the other by relaying, and plain sockets at their far ends. Counts the
// descriptors that are held, and the turns in which the loop did not wait.

import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { DirectIo } from "../../src/io/direct/direct-io.ts";
import type { Driver } from "../../src/io/direct/driver.ts";
import type { PipeLimits } from "../../src/io/direct/pipes.ts";
import { TurnLoop } from "../../src/io/direct/turn-loop.ts";
import { EpollDriver } from "../../src/io/epoll/epoll-driver.ts";
import type { CloseReason, RelayEvents, Stream, StreamEvents } from "../../src/io/stream.ts";
import { openUringDriver } from "../../src/io/uring/uring-driver.ts";
import { realSystem } from "../../src/system.ts";
import { testedAdapter } from "./adapters.ts";
import { until } from "./until.ts";

/** What happens to one stream; `onData` hands on to whoever it is linked to, as a tunnel does. */
export class RelayEnd implements StreamEvents, RelayEvents {
  readonly seen: string[] = [];
  /** Came by `onData`, and past it. */
  copied = 0;
  relayed = 0;
  stream!: Stream;
  to: Stream | undefined;
  /** Done inside `onRelayed`. */
  whenRelayed: ((bytes: number) => void) | undefined;

  onConnect(): void {
    this.seen.push("connect");
  }
  onData(bytes: Uint8Array, start: number, end: number): void {
    this.copied += end - start;
    if (this.to?.write(bytes, start, end) === false) this.stream.pause();
  }
  onEnd(): void {
    this.seen.push("end");
    this.to?.end();
  }
  onWritable(): void {
    this.seen.push("writable");
  }
  onClose(reason: CloseReason): void {
    this.seen.push(reason);
  }
  onRelayed(bytes: number): void {
    this.relayed += bytes;
    this.whenRelayed?.(bytes);
  }
}

export interface RelayPair {
  readonly from: RelayEnd;
  readonly to: RelayEnd;
  /** The far ends of both; they read when the test says so. */
  readonly source: Socket;
  readonly sink: Socket;
}

export class RelayWorld {
  readonly io: DirectIo;
  readonly held = new Set<number>();
  /** How long the driver was asked to wait, in ms, each time. */
  readonly waits: number[] = [];
  readonly #loop: TurnLoop;
  readonly #server: Server;
  readonly #accepted: Socket[] = [];
  readonly #ends: RelayEnd[] = [];

  static async open(pipes?: Partial<PipeLimits>): Promise<RelayWorld> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new RelayWorld(server, pipes);
  }

  private constructor(server: Server, pipes: Partial<PipeLimits> = {}) {
    this.#server = server;
    server.on("connection", (socket) => {
      // A reset is what some tests want; `closed` tells of it.
      socket.on("error", () => {});
      this.#accepted.push(socket);
    });
    const ledger = {
      hold: (fd: number): void => void this.held.add(fd),
      drop: (fd: number): void => void this.held.delete(fd),
      holdMapping() {},
      dropMapping() {},
    };
    const driver: Driver =
      testedAdapter() === "uring" ? openUringDriver({ ledger }) : new EpollDriver(ledger);
    this.ownDescriptors = this.held.size;
    const wait = driver.wait.bind(driver);
    driver.wait = (ms) => {
      this.waits.push(ms);
      return wait(ms);
    };
    this.#loop = new TurnLoop({ driver, timerInMs: () => 1, waitMsMax: 1 });
    this.io = new DirectIo({
      loop: this.#loop,
      ledger,
      after: (delayMs, action) => realSystem.after(delayMs, action),
      receiveBytes: 64 * 1024,
      sendQueueBytesHigh: 16 * 1024,
      unsentBytesMax: 32 * 1024,
      pipes: {
        fillBytes: 64 * 1024,
        pipesMax: 64,
        pipesKeptMax: 4,
        ...pipes,
      },
    });
  }

  /** Descriptors of the loop itself: what is held when nothing is open. */
  readonly ownDescriptors: number;

  async pair(): Promise<RelayPair> {
    const [from, source] = await this.#end();
    const [to, sink] = await this.#end();
    from.to = to.stream;
    to.to = from.stream;
    return { from, to, source, sink };
  }

  async #end(): Promise<[RelayEnd, Socket]> {
    const end = new RelayEnd();
    const before = this.#accepted.length;
    end.stream = this.io.dial("127.0.0.1", (this.#server.address() as AddressInfo).port, end);
    await until(() => this.#accepted.length > before && end.seen.length > 0, "a connection");
    this.#ends.push(end);
    return [end, this.#accepted[before]!];
  }

  async close(): Promise<void> {
    for (const { stream } of this.#ends) stream.destroy(true);
    for (const socket of this.#accepted) socket.destroy();
    this.io.close();
    this.#loop.close();
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** A prime: no read ends where a period of the pattern does. */
const period = 65_521;
const pattern = Buffer.alloc(2 * period);
for (let i = 0; i < pattern.length; i++)
  pattern[i] = ((i % period) * 131 + ((i % period) >> 8)) & 255;

/** Bytes of a stream whose content tells where in it they belong; at most `period` of them. */
export function patternAt(at: number, length: number): Buffer {
  const start = at % period;
  return pattern.subarray(start, start + Math.min(length, period));
}

/** Reads a socket to its end and knows whether every byte was the right one. */
export class PatternReader {
  bytes = 0;
  /** Where the first wrong byte was; -1: all were right. */
  wrongAt = -1;
  ended = false;
  closed = false;
  error = "";
  readonly socket: Socket;

  constructor(socket: Socket, onPiece: (bytes: number) => void = () => {}) {
    this.socket = socket;
    socket.on("data", (data: Buffer) => {
      for (let at = 0; at < data.length; ) {
        const piece = patternAt(this.bytes + at, data.length - at);
        if (this.wrongAt < 0 && piece.compare(data, at, at + piece.length) !== 0) {
          this.wrongAt = this.bytes + at;
        }
        at += piece.length;
      }
      this.bytes += data.length;
      onPiece(data.length);
    });
    socket.on("end", () => (this.ended = true));
    socket.on("error", (error: NodeJS.ErrnoException) => (this.error = error.code ?? "error"));
    socket.on("close", () => (this.closed = true));
    socket.resume();
  }

  async untilBytes(count: number, withinMs?: number): Promise<void> {
    await until(
      () => this.bytes >= count || this.closed,
      () => `${count} bytes; there are ${this.bytes}`,
      withinMs,
    );
  }
}

/** Sends bytes `from` to `to` of the pattern as fast as the socket takes them, or until it is closed. */
export async function sendPattern(
  socket: Socket,
  from: number,
  to: number,
  pieceBytes: () => number = () => period,
): Promise<void> {
  for (let at = from; at < to && !socket.destroyed; ) {
    const piece = patternAt(at, Math.min(to - at, pieceBytes()));
    at += piece.length;
    if (socket.write(piece)) continue;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        socket.off("drain", done).off("close", done);
        resolve();
      };
      socket.on("drain", done).on("close", done);
    });
  }
}
