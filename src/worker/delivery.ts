// Brings one request to a backend: chooses one, takes an idle connection to it or dials, keeps what it sent for as
// long as it may be sent again, and sends it again.
//
// Again means (RFC 9110 section 9.2.2): to another backend while nothing was sent; and an idempotent request, whose
// body, if any, is kept whole, when the connection broke before a byte of its answer: on a fresh connection, to another
// backend if there is one, as often as limits and the service's budget allow (docs/decisions/0026). Nothing else is
// ever sent twice. Does not know what the answer says: its bytes go to the response-relay as they come.

import type { CloseReason } from "../io/stream.ts";
import { Framing } from "../protocol/framing.ts";
import { hasStrayBody } from "../protocol/method.ts";
import type { RequestHead } from "../protocol/request-head.ts";
import type { BackendState } from "../routing/backend-state.ts";
import { Counter } from "../telemetry/counters.ts";
import { BackendChoice } from "./backend-choice.ts";
import { flush } from "./body-relay.ts";
import type { WorkerContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import type { MirrorCopy } from "./mirror-copy.ts";
import { writeRequestHead } from "./request-writer.ts";
import type { UpstreamConnection, UpstreamOwner } from "./upstream-connection.ts";

const Phase = { Idle: 0, Dialling: 1, Sent: 2 } as const;

export class Delivery implements UpstreamOwner {
  readonly choice: BackendChoice;
  connection: UpstreamConnection | undefined;
  readonly #context: WorkerContext;
  readonly #exchange: Exchange;
  #phase: number = Phase.Idle;
  /** It may be sent again if the connection breaks: what was sent is kept, and nothing was answered. */
  #replayable = false;
  /** The backend may have taken the body for a request of its own: what it answers to that must find nobody. */
  #isLast = false;
  /** A copy for the route's mirror that the body is still to come for. */
  #copy: MirrorCopy | undefined;

  constructor(context: WorkerContext, exchange: Exchange) {
    this.#context = context;
    this.#exchange = exchange;
    this.choice = new BackendChoice(context);
  }

  /** The request is on its way, or its answer. */
  get active(): boolean {
    return this.#phase !== Phase.Idle;
  }

  /** Whether body bytes of the request can be taken now. */
  get takesBody(): boolean {
    return this.#phase === Phase.Sent && this.connection !== undefined;
  }

  /** Bytes for the backend that the kernel has not taken. */
  get queuedBytes(): number {
    return this.connection?.stream.queuedBytes ?? 0;
  }

  /** For the request whose head was just parsed. */
  begin(head: RequestHead): void {
    this.#replayable = this.#isReplayable(head);
    this.#isLast = hasStrayBody(head);
  }

  /** Whether it may be sent twice, and what was sent can be kept until it is answered. */
  #isReplayable(head: RequestHead): boolean {
    if (!head.isIdempotent || head.upgrade) return false;
    if (head.framing === Framing.None) return true;
    const { replayBodyBytesMax } = this.#context.limits;
    return head.framing === Framing.Length && head.contentLength <= replayBodyBytesMax;
  }

  /** Writes the head, and sends it or keeps it until a connection stands. */
  send(bytes: Uint8Array, backend: BackendState): void {
    const context = this.#context;
    const { writer, requestHead: head } = context;
    const { record, client, route, known } = this.#exchange;
    const connection = this.choice.take(backend, this, this.#replayable);
    record.backend = backend.endpoint.address;
    writer.length = 0;
    const { address } = backend.endpoint;
    writeRequestHead(context, bytes, head, client.downstream, address, route, known?.template);
    record.rememberId(bytes);
    if (route?.options?.mirror !== undefined) {
      this.#copy = context.mirrors.copyOf(route, client.downstream);
    }
    this.#dispatch(backend, connection);
    this.mirrorBody(bytes, 0, 0);
  }

  #dispatch(backend: BackendState, connection: UpstreamConnection | undefined): void {
    const { writer } = this.#context;
    if (connection === undefined) {
      this.#phase = Phase.Dialling;
      this.connection = this.choice.dial(backend, this);
      this.connection.save(writer.bytes, writer.length);
      writer.length = 0;
      return;
    }
    this.#phase = Phase.Sent;
    this.connection = connection;
    if (this.#replayable) connection.save(writer.bytes, writer.length);
    // With a body, the head leaves together with its first bytes: see feedRequest.
    if (this.#exchange.requestBody.done) flush(writer, connection.stream);
  }

  /** These bytes of the request's body were sent. Framed by its length, a body leaves as it came. */
  sentBody(bytes: Uint8Array, start: number, end: number): void {
    if (this.#replayable) this.connection?.saveMore(bytes, start, end);
  }

  /** The same bytes for the copy, if there is one; goes when they are all there. */
  mirrorBody(bytes: Uint8Array, start: number, end: number): void {
    if (this.#copy?.feed(bytes, start, end) === true) this.#copy = undefined;
  }

  /** Gives the backend's connection back, or up. */
  end(reusable: boolean): void {
    const { connection } = this;
    this.#copy?.dropUnsent();
    this.#copy = undefined;
    this.#phase = Phase.Idle;
    this.connection = undefined;
    // Nobody will ask for a connection to a backend that leaves.
    const wanted = reusable && !this.#isLast && this.choice.current?.standing.draining !== true;
    this.choice.done();
    if (connection !== undefined) this.#context.pool.release(connection, wanted);
  }

  /** 101: the connection is not ours any more; the backend's load counts until `choice.done`. */
  handOver(): UpstreamConnection {
    const connection = this.connection!;
    this.choice.answered(101);
    this.choice.succeeded();
    this.#phase = Phase.Idle;
    this.connection = undefined;
    return connection;
  }

  // --- what the connection to the backend does

  onUpstreamConnect(): void {
    const connection = this.connection!;
    this.#phase = Phase.Sent;
    connection.stream.write(connection.saved, 0, connection.savedLength);
    if (!this.#replayable) connection.forgetSaved();
    this.#exchange.delivered();
  }

  onUpstreamData(bytes: Uint8Array, start: number, end: number): void {
    if (this.#replayable) {
      this.#replayable = false;
      this.connection?.forgetSaved();
    }
    this.#exchange.response.receive(bytes, start, end);
  }

  onUpstreamEnd(): void {
    if (this.#exchange.response.upstreamEnded()) return;
    this.#lost("the backend closed the connection");
  }

  onUpstreamWritable(): void {
    this.#exchange.client.requestMayGoOn();
  }

  onUpstreamClose(reason: CloseReason, message: string): void {
    const connected = this.connection?.connected === true;
    if (!connected) this.#dialFailed(reason, message);
    else if (reason !== "finished" || !this.#exchange.response.upstreamEnded()) this.#lost(message);
  }

  /** Nothing was sent: another backend may be tried (at most `connectTriesMax`). */
  #dialFailed(reason: CloseReason, message: string): void {
    const failed = this.connection!;
    this.#context.counters[Counter.upstreamConnectFailures]! += 1;
    this.choice.connectFailed(reason, message);
    this.connection = undefined;
    const backend = this.choice.next(undefined);
    if (backend !== undefined) return this.#dialAgain(backend, failed);
    if (this.choice.wasSent) return this.#exchange.fail(502, "backend-closed", "");
    this.#context.counters[Counter.noBackend]! += 1;
    this.#exchange.fail(503, "no-backend-reachable", "");
  }

  /** A fresh connection gets what `previous` kept. */
  #dialAgain(backend: BackendState, previous: UpstreamConnection): void {
    this.#phase = Phase.Dialling;
    this.#exchange.record.backend = backend.endpoint.address;
    this.connection = this.choice.dial(backend, this);
    this.connection.save(previous.saved, previous.savedLength);
  }

  /** The connection broke after the request, or a part of it, went out. */
  #lost(message: string): void {
    const { connection, choice } = this;
    if (connection === undefined || this.#exchange.response.refusedPartial()) return;
    const { current } = choice;
    const again = this.#replayable ? this.#nextAfter(connection) : undefined;
    // That an idle connection was closed is no failure of its backend.
    if (again === undefined || !connection.reused) {
      choice.failed(message === "" ? "connection closed" : message, current);
    }
    if (again === undefined) return this.#exchange.fail(502, "backend-closed", "");
    this.connection = undefined;
    connection.destroy(true);
    this.#dialAgain(again, connection);
  }

  /** Where the request is sent again. A client that sticks to its backend stays there if the connection was old. */
  #nextAfter({ reused, endpoint }: UpstreamConnection): BackendState | undefined {
    const stays = this.#exchange.stickyPlace?.backend.endpoint === endpoint;
    return this.choice.retry(reused, stays);
  }
}
