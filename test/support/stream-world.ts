// Streams of an adapter in a test's hand, each with a plain socket at its other end. Whoever makes one gets it watched:
// what the ports of src/io/stream.ts promise of every call at any time is checked with every test that uses it.

import { onTestFinished } from "vitest";
import type { Io } from "../../src/io/io.ts";
import { closeFd, limitUnsent, listen, openListener } from "../../src/io/sockets.ts";
import type { CloseReason, Listener, Stream, StreamEvents } from "../../src/io/stream.ts";
import type { Adapter } from "./adapters.ts";
import { Peer, RawBackend } from "./peer.ts";
import { until } from "./until.ts";

/** What a test does inside a callback; each is given the stream, `data` the adapter's own view of the bytes. */
export interface Reactions {
  connect?: (stream: Stream) => void;
  data?: (stream: Stream, bytes: Buffer) => void;
  end?: (stream: Stream) => void;
  writable?: (stream: Stream) => void;
  close?: (stream: Stream) => void;
}

/** Notes everything that happens to a stream, and what must not. */
export class Witness implements StreamEvents {
  /** "connect", "end", "writable", "close finished" and so on; bytes are not among them. */
  readonly seen: string[] = [];
  /** Promises that were broken. */
  readonly broken: string[] = [];
  readonly reactions: Reactions;
  stream: WatchedStream | undefined;
  bytes = 0;
  readonly #pieces: Buffer[] = [];

  constructor(reactions: Reactions = {}) {
    this.reactions = reactions;
  }

  /** All it received. */
  get received(): Buffer {
    return Buffer.concat(this.#pieces);
  }
  get text(): string {
    return this.received.toString("latin1");
  }
  get isClosed(): boolean {
    return this.seen.at(-1)?.startsWith("close") === true;
  }

  onConnect(): void {
    this.#check("connect", this.seen.length > 0);
    this.seen.push("connect");
    this.reactions.connect?.(this.stream!);
  }
  onData(bytes: Uint8Array, start: number, end: number): void {
    this.#check("data", this.seen.includes("end") || end <= start);
    const copy = Buffer.from(bytes.subarray(start, end));
    this.bytes += copy.length;
    this.#pieces.push(copy);
    this.reactions.data?.(
      this.stream!,
      Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start),
    );
    // Whatever was called meanwhile, the view is the callback's own until it returns.
    if (!copy.equals(bytes.subarray(start, end))) this.broken.push("a view changed in its call");
  }
  onEnd(): void {
    this.#check("end", this.seen.includes("end"));
    this.seen.push("end");
    this.reactions.end?.(this.stream!);
  }
  onWritable(): void {
    this.#check("writable", this.stream?.queuedBytes !== 0);
    this.seen.push("writable");
    this.reactions.writable?.(this.stream!);
  }
  onClose(reason: CloseReason): void {
    this.#check(`close ${reason}`, false);
    this.seen.push(`close ${reason}`);
    this.reactions.close?.(this.stream!);
  }

  async until(event: string): Promise<void> {
    await until(
      () => this.seen.includes(event),
      () => `"${event}"; so far ${JSON.stringify(this.seen)} and ${this.bytes} bytes`,
    );
  }

  async untilClosed(): Promise<void> {
    await until(
      () => this.isClosed,
      () => `the close; so far ${JSON.stringify(this.seen)} and ${this.bytes} bytes`,
    );
  }

  async untilBytes(count: number): Promise<void> {
    await until(
      () => this.bytes >= count || this.isClosed,
      () => `${count} bytes; so far ${this.bytes}, ${JSON.stringify(this.seen)}`,
    );
  }

  #check(event: string, isWrong: boolean): void {
    const after = JSON.stringify(this.seen);
    if (isWrong) this.broken.push(`${event} after ${after}`);
    if (this.isClosed) this.broken.push(`${event} after the close: ${after}`);
    if (this.stream === undefined) this.broken.push(`${event} from inside the call that made it`);
    else if (this.stream.isInside) this.broken.push(`${event} from inside a call`);
    else if (this.stream.isDestroyed) this.broken.push(`${event} after destroy`);
  }
}

/** A stream that knows whether somebody is inside one of its calls. */
export class WatchedStream implements Stream {
  isInside = false;
  isDestroyed = false;
  readonly #inner: Stream;

  constructor(inner: Stream) {
    this.#inner = inner;
  }

  get events(): StreamEvents {
    return this.#inner.events;
  }
  set events(events: StreamEvents) {
    this.#inner.events = events;
  }
  get remoteAddress(): string {
    return this.#inner.remoteAddress;
  }
  get remotePort(): number {
    return this.#inner.remotePort;
  }
  get localAddress(): string {
    return this.#inner.localAddress;
  }
  get localPort(): number {
    return this.#inner.localPort;
  }
  get queuedBytes(): number {
    return this.#inner.queuedBytes;
  }
  get unacknowledgedBytes(): number {
    return this.#inner.unacknowledgedBytes;
  }
  write(bytes: Uint8Array, start: number, end: number): boolean {
    return this.#inside(() => this.#inner.write(bytes, start, end));
  }
  end(): void {
    this.#inside(() => this.#inner.end());
  }
  destroy(reset: boolean): void {
    this.#inside(() => this.#inner.destroy(reset));
    this.isDestroyed = true;
  }
  pause(): void {
    this.#inside(() => this.#inner.pause());
  }
  resume(): void {
    this.#inside(() => this.#inner.resume());
  }

  keepAlive(idleMs: number): void {
    this.#inside(() => this.#inner.keepAlive?.(idleMs));
  }

  #inside<T>(call: () => T): T {
    this.isInside = true;
    try {
      return call();
    } finally {
      this.isInside = false;
    }
  }
}

export interface StreamWorldOptions {
  readonly unsentBytesMax?: number;
  readonly receiveBytes?: number;
  readonly address?: string;
}

/** An adapter, opened for one test and closed with it; fails the test when a stream broke a promise. */
export class StreamWorld {
  readonly io: Io;
  /** What it said about accepting. */
  readonly troubles: string[] = [];
  readonly #options: StreamWorldOptions;
  readonly #witnesses: Witness[] = [];

  constructor(adapter: Adapter, options: StreamWorldOptions = {}) {
    this.#options = options;
    const opened = adapter.open({
      receiveBytes: options.receiveBytes ?? 64 * 1024,
      sendQueueBytesHigh: 64 * 1024,
      unsentBytesMax: options.unsentBytesMax,
      onAcceptTrouble: (message) => this.troubles.push(message),
    });
    this.io = opened.io;
    onTestFinished(() => {
      for (const { stream } of this.#witnesses) stream?.destroy(true);
      opened.close();
      const broken = this.#witnesses.flatMap((witness) => witness.broken);
      if (broken.length > 0) throw new Error(`promises broken: ${broken.slice(0, 5).join("; ")}`);
    });
  }

  /** A witness of a stream that somebody else accepts or dials. */
  witness(reactions: Reactions = {}): Witness {
    const witness = new Witness(reactions);
    this.#witnesses.push(witness);
    return witness;
  }

  /** Dials; `witness.stream` is there when this returns. */
  dial(host: string, port: number, reactions: Reactions = {}): Witness {
    const witness = this.witness(reactions);
    witness.stream = new WatchedStream(this.io.dial(host, port, witness));
    return witness;
  }

  /** Accepts on a port of the kernel's choice; `take` is called inside accept. */
  async listen(take: (witness: Witness, stream: Stream) => void = () => {}): Promise<ListenWorld> {
    const address = this.#options.address ?? "127.0.0.1";
    const { fd, port } = openListener({ address, port: 0 });
    if (this.#options.unsentBytesMax !== undefined) limitUnsent(fd, this.#options.unsentBytesMax);
    listen(fd, 4_096);
    onTestFinished(() => closeFd(fd));
    return this.listenOn({ address, fd, port }, take);
  }

  async listenOn(
    place: { readonly address: string; readonly fd: number; readonly port: number },
    take: (witness: Witness, stream: Stream) => void = () => {},
  ): Promise<ListenWorld> {
    const accepted: Witness[] = [];
    const listener = await this.io.listen(place, (stream) => {
      const witness = this.witness();
      witness.stream = new WatchedStream(stream);
      stream.events = witness;
      accepted.push(witness);
      take(witness, witness.stream);
    });
    onTestFinished(() => listener.close());
    return { port: place.port, accepted, listener };
  }

  /** A stream that was accepted, and its client. */
  async accepted(reactions: Reactions = {}): Promise<World> {
    const { port, accepted } = await this.listen((witness, stream) => {
      Object.assign(witness.reactions, reactions);
      reactions.connect?.(stream);
    });
    const peer = await Peer.connect(port, this.#options.address ?? "127.0.0.1");
    onTestFinished(() => void peer.socket.destroy());
    await until(() => accepted.length === 1, "the stream");
    return { stream: accepted[0]!.stream!, witness: accepted[0]!, peer };
  }

  /** A stream that was dialled, and the end it reached. */
  async dialled(reactions: Reactions = {}): Promise<World> {
    const backend = await RawBackend.start();
    onTestFinished(() => backend.close());
    const witness = this.dial("127.0.0.1", backend.port, reactions);
    const peer = await backend.accept();
    await witness.until("connect");
    return { stream: witness.stream!, witness, peer };
  }
}

export interface ListenWorld {
  readonly port: number;
  readonly accepted: readonly Witness[];
  readonly listener: Listener;
}

export interface World {
  readonly stream: Stream;
  readonly witness: Witness;
  readonly peer: Peer;
}

export function write(stream: Stream, text: string): boolean {
  const bytes = Buffer.from(text, "latin1");
  return stream.write(bytes, 0, bytes.length);
}
