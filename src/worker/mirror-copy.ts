// One copy of a request on its way to the service that a route is mirrored to: gathered while the request goes out,
// sent when it is whole, never twice; its answer is read and dropped.
//
// The request itself knows of it only as something to hand its bytes to: whatever happens here changes nothing there.

import type { CloseReason } from "../io/stream.ts";
import { hasStrayBody } from "../protocol/method.ts";
import type { RequestHead } from "../protocol/request-head.ts";
import type { ServiceState } from "../routing/service-state.ts";
import { Counter } from "../telemetry/counters.ts";
import { BackendChoice } from "./backend-choice.ts";
import { BodyRelay, flush, type Sink } from "./body-relay.ts";
import { ByteWriter } from "./byte-writer.ts";
import type { PrefacedClient } from "./client-prefaces.ts";
import type { WorkerContext } from "./context.ts";
import { AnswerRead, DroppedAnswer } from "./dropped-answer.ts";
import { Timer, type TimerOwner } from "./timer-wheel.ts";
import type { UpstreamConnection, UpstreamOwner } from "./upstream-connection.ts";

/** Told once, when the copy is gone. */
export interface CopyOwner {
  onCopyEnd(copy: MirrorCopy): void;
}

/** Written into every head, and taken out of what a client sent. */
const mirrorField = "X-Crosspoint-Mirror: 1";
/** Nobody is asked whether the body may come: it is here. */
const linesLeftOut = /^(?:Expect|X-Crosspoint-Mirror):[^\r\n]*\r\n/gim;
const scratch = new ByteWriter(16 * 1024);

export class MirrorCopy implements UpstreamOwner, TimerOwner {
  readonly #context: WorkerContext;
  readonly #owner: CopyOwner;
  readonly #service: ServiceState;
  readonly #choice: BackendChoice;
  readonly #answer: DroppedAnswer;
  readonly #body: BodyRelay;
  readonly #timer = new Timer(this);
  /** Head and body, as they will be sent. */
  readonly #bytes: ByteWriter;
  readonly #sink: Sink;
  #connection: UpstreamConnection | undefined;
  /** As of the request: see Delivery. */
  readonly #isLast: boolean;
  #isSent = false;
  #isOver = false;

  /** @param sent The head as the backend gets it. */
  constructor(
    context: WorkerContext,
    owner: CopyOwner,
    service: ServiceState,
    client: PrefacedClient,
    sent: Uint8Array,
  ) {
    const { requestHead: head, limits, wheel } = context;
    this.#context = context;
    this.#owner = owner;
    this.#service = service;
    this.#choice = new BackendChoice(context);
    // It is kept together with nothing.
    const hash = service.hashKey === undefined ? 0 : Math.floor(context.random() * 2 ** 32);
    this.#choice.begin(service, client, undefined, hash | 0);
    this.#isLast = hasStrayBody(head);
    this.#answer = new DroppedAnswer(context, head.method);
    this.#body = new BodyRelay(limits);
    this.#body.begin(head.framing, head.contentLength, head.framing);
    this.#bytes = copiedHead(sent, head);
    this.#sink = { write: (...range) => (this.#bytes.range(...range), true) };
    wheel.arm(this.#timer, limits.mirrorMsMax);
  }

  /** Takes bytes of the body, and goes when that is whole. True: it wants no more of them. */
  feed(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#isSent || this.#isOver) return true;
    const body = this.#body;
    body.feed(bytes, start, end, scratch, this.#sink);
    flush(scratch, this.#sink);
    if (body.error !== "" || body.bytes > this.#context.limits.mirrorBodyBytesMax) this.drop();
    else if (body.done) this.#send();
    return body.done || this.#isOver;
  }

  /** The request ended before its copy could be sent. */
  dropUnsent(): void {
    if (!this.#isSent) this.drop();
  }

  /** Wherever it is. */
  drop(): void {
    this.#end(Counter.mirrorDropped, false);
  }

  #send(): void {
    this.#isSent = true;
    const backend = this.#choice.next(undefined);
    if (backend === undefined) return this.drop();
    // It is not sent again: a connection that was idle for long is not risked.
    const idle = this.#choice.take(backend, this, false);
    this.#connection = idle ?? this.#choice.dial(backend, this);
    if (idle !== undefined) this.#write(idle);
  }

  #write({ stream }: UpstreamConnection): void {
    stream.write(this.#bytes.bytes, 0, this.#bytes.length);
    this.#bytes.clear();
  }

  // --- what the connection to the backend does

  onUpstreamConnect(): void {
    this.#write(this.#connection!);
  }

  onUpstreamData(bytes: Uint8Array, start: number, end: number): void {
    this.#readUpTo(this.#answer.receive(bytes, start, end), "malformed answer to a copy");
  }

  onUpstreamEnd(): void {
    this.#readUpTo(this.#answer.end(), "connection closed");
  }

  onUpstreamWritable(): void {}

  onUpstreamClose(reason: CloseReason, message: string): void {
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection?.connected === true) {
      const why = message === "" ? "connection closed" : message;
      return this.#readUpTo(this.#answer.end(), why, connection.reused);
    }
    this.#context.counters[Counter.upstreamConnectFailures]! += 1;
    this.#choice.connectFailed(reason, message);
    this.drop();
  }

  #readUpTo(read: number, otherwise: string, reused = this.#connection?.reused === true): void {
    const { status } = this.#answer;
    if (status !== 0) this.#choice.answered(status);
    if (read === AnswerRead.More) return;
    if (read === AnswerRead.Broken) {
      // An idle connection may be closed at any time.
      this.#choice.failed(otherwise, this.#choice.current, reused && status === 0);
      return this.drop();
    }
    this.#choice.succeeded();
    this.#end(Counter.mirrored, read === AnswerRead.Reusable);
  }

  onTimeout(): void {
    this.#choice.failed("timeout");
    this.drop();
  }

  #end(counter: number, reusable: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { counters, wheel, pool } = this.#context;
    counters[counter]! += 1;
    wheel.disarm(this.#timer);
    this.#choice.done();
    const connection = this.#connection;
    this.#connection = undefined;
    this.#owner.onCopyEnd(this);
    if (connection === undefined) return;
    // One that began with a preface belongs to its client, who may be gone.
    const isFree = this.#service.proxyProtocol === undefined && connection.stream.queuedBytes === 0;
    const isReusable = reusable && isFree && !this.#isLast;
    if (counter === Counter.mirrored) pool.release(connection, isReusable);
    else connection.destroy(true);
  }
}

function copiedHead(sent: Uint8Array, head: RequestHead): ByteWriter {
  const text = Buffer.from(sent.buffer, sent.byteOffset, sent.length).toString("latin1");
  const bodyBytes = Math.max(0, head.contentLength);
  const writer = new ByteWriter(sent.length + mirrorField.length + 2 + bodyBytes);
  writer.text(`${text.slice(0, -2).replaceAll(linesLeftOut, "")}${mirrorField}\r\n\r\n`);
  return writer;
}
