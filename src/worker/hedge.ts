// The second leg of a request that is asked of two backends at once: sends the same bytes, and holds back what comes
// until it is known whether that is an answer for the client.
//
// Knows: one connection, and the beginning of a head on it. Does not know when a second backend is asked, who pays, nor
// what becomes of the first one (Tries, Delivery).

import type { CloseReason } from "../io/stream.ts";
import { HeadScanner } from "../protocol/head-end.ts";
import type { BackendState } from "../routing/backend-state.ts";
import { Counter } from "../telemetry/counters.ts";
import type { BackendChoice } from "./backend-choice.ts";
import type { WorkerContext } from "./context.ts";
import type { UpstreamConnection, UpstreamOwner } from "./upstream-connection.ts";

/** Told what the second backend does; either ends the leg, with `take` or `drop`. */
export interface HedgeOwner {
  /** The method of the request, which says whether an answer has a body. */
  readonly method: number;
  /** Whether an answer of this status is none while the other backend may still give one. */
  isRefused(status: number): boolean;
  /** What came begins with the head of an answer, final or interim, that the client is to get. */
  hedgeAnswers(): void;
  /** It has answered, with a status that is refused. */
  hedgeRefused(status: number): void;
  /** It gives none. @param why In words; "": that is no failure, or told already. */
  hedgeFails(why: string): void;
}

const noBytes = new Uint8Array(0);

export class Hedge implements UpstreamOwner {
  /** undefined: there is no second leg now. */
  connection: UpstreamConnection | undefined;
  /** When it began, in ms, monotonic. */
  sentMs = 0;
  /** What has come: the first `length` bytes. Valid until the next event. */
  bytes: Uint8Array = noBytes;
  length = 0;
  readonly #context: WorkerContext;
  readonly #choice: BackendChoice;
  readonly #owner: HedgeOwner;
  readonly #scanner: HeadScanner;

  constructor(context: WorkerContext, choice: BackendChoice, owner: HedgeOwner) {
    this.#context = context;
    this.#choice = choice;
    this.#owner = owner;
    this.#scanner = new HeadScanner(context.limits);
  }

  /** Sends what `first` has kept. */
  send(backend: BackendState, first: UpstreamConnection): void {
    const taken = this.#choice.take(backend, this, true);
    const connection = taken ?? this.#choice.dial(backend, this);
    connection.save(first.saved, first.savedLength);
    this.connection = connection;
    this.sentMs = this.#context.nowMs();
    this.length = 0;
    this.#scanner.reset();
    if (taken !== undefined) this.onUpstreamConnect();
  }

  /** Hands the connection over; what came so far is in `bytes`, whose memory is not used again. */
  take(): UpstreamConnection {
    const connection = this.connection!;
    this.connection = undefined;
    this.bytes = noBytes;
    return connection;
  }

  /** Nobody wants it any more. */
  drop(): void {
    this.take().destroy(true);
  }

  onUpstreamConnect(): void {
    const { stream, saved, savedLength } = this.connection!;
    stream.write(saved, 0, savedLength);
  }

  onUpstreamData(bytes: Uint8Array, start: number, end: number): void {
    this.#keep(bytes, start, end);
    if (!this.#scanner.scan(this.bytes, 0, this.length)) return;
    const { responseHead: head } = this.#context;
    const next = head.parse(this.bytes, 0, this.length, this.#owner.method);
    if (next < 0) return this.#owner.hedgeFails(`malformed answer: ${head.error}`);
    if (next === 0) return;
    const { status } = head;
    if (this.#owner.isRefused(status)) this.#owner.hedgeRefused(status);
    else this.#owner.hedgeAnswers();
  }

  onUpstreamEnd(): void {
    this.#lost("the backend closed the connection");
  }

  onUpstreamWritable(): void {}

  onUpstreamClose(reason: CloseReason, message: string): void {
    if (this.connection?.connected === true) return this.#lost(message);
    this.#context.counters[Counter.upstreamConnectFailures]! += 1;
    this.#choice.hedgeConnectFailed(reason, message);
    this.#owner.hedgeFails("");
  }

  #lost(why: string): void {
    // That an idle connection was closed is no failure of its backend.
    const told = why === "" ? "connection closed" : why;
    this.#owner.hedgeFails(this.connection?.reused === true ? "" : told);
  }

  #keep(bytes: Uint8Array, start: number, end: number): void {
    const length = this.length + (end - start);
    if (length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(1024, length));
      grown.set(this.bytes.subarray(0, this.length));
      this.bytes = grown;
    }
    this.bytes.set(bytes.subarray(start, end), this.length);
    this.length = length;
  }
}
