// One request and its answer, between a client's connection and a backend's.
//
// Knows: the order of things (choose, connect, send, answer, finish) and what each failure means to
// the client. Does not know how heads and bodies are written (request-writer, response-writer,
// body-relay), nor when the next request of the connection begins (http-session).
//
// One per client connection, reused for all its requests. Retries follow RFC 9110 section 9.2.2:
// another backend while nothing was sent; once more, on a fresh connection, when a connection that
// had been idle died before it answered an idempotent request whose body, if any, is kept.

import type { CloseReason, Stream } from "../io/stream.ts";
import { Framing } from "../protocol/framing.ts";
import { Method, type RequestHead } from "../protocol/request-head.ts";
import type { BackendState } from "../routing/backend-state.ts";
import type { CompiledRoute } from "../routing/compiled-route.ts";
import { Counter } from "../telemetry/counters.ts";
import { BackendChoice } from "./backend-choice.ts";
import { BodyRelay, flush } from "./body-relay.ts";
import type { WorkerContext } from "./context.ts";
import { isHead, type Reason, wantsJson, writeLocalAnswer } from "./local-answer.ts";
import { RequestRecord } from "./request-record.ts";
import { type Downstream, writeRequestHead } from "./request-writer.ts";
import { ResponseRelay } from "./response-relay.ts";
import { stickyAddressOf } from "./sticky-choice.ts";
import type { UpstreamConnection, UpstreamOwner } from "./upstream-connection.ts";

/** What an exchange needs of the connection it belongs to. */
export interface ExchangeClient {
  readonly stream: Stream;
  readonly downstream: Downstream;
  /** Bytes behind the request wait unread. */
  readonly holdsBytes: boolean;
  /** Something moved: the time without progress begins anew, and may take `limitMs`. */
  progressed(limitMs: number): void;
  /** The upstream is connected, or takes bytes again: go on with the request's body. */
  requestMayGoOn(): void;
  /** Answered; `close`: this connection carries no further request. */
  exchangeDone(close: boolean): void;
  /** The answer broke off where only a reset tells the client so. */
  cut(): void;
  /** The backend said 101; `early` bytes came behind its head. */
  upgraded(upstream: UpstreamConnection, early: Uint8Array, start: number, end: number): void;
}

const Phase = { Idle: 0, Dialling: 1, Sent: 2, Answering: 3 } as const;

export class Exchange implements UpstreamOwner {
  readonly record: RequestRecord;
  readonly choice: BackendChoice;
  readonly requestBody = new BodyRelay();
  upgrade = false;
  /** The client spoke HTTP/1.1. */
  minor = 1;
  headOnly = false;
  method = 0;
  keepAlive = true;
  route: CompiledRoute | undefined;
  /** The address that the client's sticky cookie named, or undefined. */
  stickyAddress: string | undefined;
  /** The client holds its body back until somebody says 100 (RFC 9110 section 10.1.1). */
  waitsForContinue = false;
  connection: UpstreamConnection | undefined;
  readonly #context: WorkerContext;
  readonly #client: ExchangeClient;
  readonly #response: ResponseRelay;
  #phase: number = Phase.Idle;
  #json = false;
  #replayable = false;

  constructor(context: WorkerContext, client: ExchangeClient) {
    this.#context = context;
    this.#client = client;
    this.record = new RequestRecord(context);
    this.choice = new BackendChoice(context, client.downstream.ends);
    this.#response = new ResponseRelay(context, client, this);
  }

  get active(): boolean {
    return this.#phase !== Phase.Idle;
  }

  /** Whether body bytes of the request can be taken now. */
  get takesBody(): boolean {
    return this.#phase >= Phase.Sent && this.connection !== undefined;
  }

  /** How long nothing may happen until the answer begins, in ms. */
  get silentMsMax(): number {
    const { bodyIdleMsMax, responseHeadMsMax } = this.#context.limits;
    return this.requestBody.done ? responseHeadMsMax : bodyIdleMsMax;
  }

  /** The backend reads the request's body slowly, until `requestMayGoOn`. */
  get isUpstreamClogged(): boolean {
    const queuedBytes = this.connection?.stream.queuedBytes ?? 0;
    return queuedBytes > this.#context.limits.sendQueueBytesHigh;
  }

  /** Begins with the head that `context.requestHead` has just parsed out of `bytes`. */
  begin(bytes: Uint8Array, host: string): void {
    const { requestHead: head, table } = this.#context;
    this.#describe(bytes);
    if (head.method === Method.Connect) return this.#answer(405, "method-refused", "");
    const route = table.matchHttp(host, bytes, head.targetStart, head.pathEnd);
    this.route = route;
    const service = route?.service;
    if (route === undefined || service === undefined) {
      this.#context.counters[Counter.noRoute]! += 1;
      return this.#answer(404, "no-route", "");
    }
    this.record.route = route.name;
    this.record.service = service.name;
    this.choice.begin(service);
    let preferred: BackendState | undefined;
    if (route.sticky) {
      this.stickyAddress = stickyAddressOf(this.#context.sticky, service, bytes, head.fields);
      if (this.stickyAddress !== undefined) {
        preferred = service.backendAt(this.stickyAddress);
      }
    }
    const backend = this.choice.next(preferred);
    if (backend === undefined) {
      this.#context.counters[Counter.noBackend]! += 1;
      return this.#answer(503, "no-backend", "");
    }
    this.#send(bytes, backend);
  }

  #describe(bytes: Uint8Array): void {
    const { requestHead: head } = this.#context;
    this.record.begin(bytes, head);
    this.upgrade = head.upgrade;
    this.minor = head.minor;
    this.method = head.method;
    this.headOnly = isHead(head);
    this.keepAlive = head.keepAlive && !this.#context.draining;
    this.stickyAddress = undefined;
    this.waitsForContinue = head.expectContinue;
    this.#replayable = this.#isReplayable(head);
    this.choice.reset();
    this.requestBody.begin(head.framing, head.contentLength, head.framing);
    this.#response.begin(bytes);
    this.#json = wantsJson(bytes, head);
  }

  /** Whether it may be sent twice, and what was sent can be kept until it is answered. */
  #isReplayable(head: RequestHead): boolean {
    if (!head.isIdempotent || head.upgrade) return false;
    if (head.framing === Framing.None) return true;
    const { replayBodyBytesMax } = this.#context.limits;
    return head.framing === Framing.Length && head.contentLength <= replayBodyBytesMax;
  }

  /** Writes the head, and sends it or keeps it until a connection stands. */
  #send(bytes: Uint8Array, backend: BackendState): void {
    const context = this.#context;
    const { writer, requestHead: head } = context;
    const connection = this.choice.take(backend, this);
    this.record.backend = backend.endpoint.address;
    writer.length = 0;
    const { downstream } = this.#client;
    writeRequestHead(context, bytes, head, downstream, backend.endpoint.address);
    this.record.rememberId(bytes);
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
    if (this.requestBody.done) flush(writer, connection.stream);
  }

  /**
   * Relays bytes of the request's body and answers where it stopped. `writer` may hold the head.
   * A broken framing ends the exchange: no backend ever sees a complete request.
   */
  feedRequest(bytes: Uint8Array, at: number, end: number): number {
    const { connection, requestBody } = this;
    if (connection === undefined) return end;
    const { writer } = this.#context;
    const next = requestBody.feed(bytes, at, end, writer, connection.stream);
    if (requestBody.error !== "") {
      writer.length = 0;
      this.#context.counters[Counter.malformedRequests]! += 1;
      this.fail(400, "request-malformed", requestBody.error);
      return end;
    }
    if (next > at) this.waitsForContinue = false;
    // Framed by its length, a body leaves as it came.
    if (this.#replayable && connection.reused) connection.saveMore(bytes, at, next);
    flush(writer, connection.stream);
    return next;
  }

  /** The client is gone or broke the rules before it was answered. */
  abort(): void {
    if (!this.active) return;
    this.record.status = this.record.status === 0 ? 499 : this.record.status;
    this.record.reason = "client-closed";
    this.#context.counters[Counter.clientAborts]! += 1;
    this.#end(false);
    this.#closeRecord();
  }

  /** The session's timer ran out in the middle of this exchange. */
  timedOut(): void {
    if (this.#response.begun && this.#client.stream.queuedBytes > 0) {
      return this.fail(408, "client-slow", "");
    }
    if (!this.requestBody.done && !this.#isBackendSlow()) return this.fail(408, "request-slow", "");
    this.#context.counters[Counter.upstreamTimeouts]! += 1;
    this.choice.failed("timeout");
    this.fail(504, "backend-slow", "");
  }

  /** While the request's body is under way: it is the backend that does not do its part. */
  #isBackendSlow(): boolean {
    return this.waitsForContinue || (this.connection?.stream.queuedBytes ?? 0) > 0;
  }

  // --- what the connection to the backend does

  onUpstreamConnect(): void {
    const connection = this.connection!;
    this.#phase = Phase.Sent;
    connection.stream.write(connection.saved, 0, connection.savedLength);
    this.#client.progressed(this.silentMsMax);
    this.#client.requestMayGoOn();
  }

  onUpstreamData(bytes: Uint8Array, start: number, end: number): void {
    this.#phase = Phase.Answering;
    this.#response.receive(bytes, start, end);
  }

  onUpstreamEnd(): void {
    if (this.#response.upstreamEnded()) return;
    this.#lost("the backend closed the connection");
  }

  onUpstreamWritable(): void {
    this.#client.requestMayGoOn();
  }

  /** The client reads again. */
  clientWritable(): void {
    this.#response.resumeUpstream();
  }

  onUpstreamClose(reason: CloseReason, message: string): void {
    const connected = this.connection?.connected === true;
    if (!connected) this.#dialFailed(reason, message);
    else if (reason !== "finished" || !this.#response.upstreamEnded()) this.#lost(message);
  }

  /** Nothing was sent: another backend may be tried (at most `connectTriesMax`). */
  #dialFailed(reason: CloseReason, message: string): void {
    const failed = this.connection!;
    this.#context.counters[Counter.upstreamConnectFailures]! += 1;
    this.choice.failed(reason === "refused" ? "connect refused" : `connect failed: ${message}`);
    const backend = this.choice.next(undefined);
    if (backend === undefined) {
      this.connection = undefined;
      this.#context.counters[Counter.noBackend]! += 1;
      this.fail(503, "no-backend-reachable", "");
      return;
    }
    this.record.backend = backend.endpoint.address;
    this.#dialAgain(backend, failed);
  }

  /** A fresh connection gets the head that `previous` kept. */
  #dialAgain(backend: BackendState, previous: UpstreamConnection): void {
    this.#phase = Phase.Dialling;
    this.connection = this.choice.dial(backend, this);
    this.connection.save(previous.saved, previous.savedLength);
  }

  /** The connection broke after the request, or a part of it, went out. */
  #lost(message: string): void {
    const connection = this.connection;
    if (connection === undefined) return;
    const replay =
      connection.reused &&
      this.#replayable &&
      !this.#response.anyByte &&
      connection.savedLength > 0;
    const backend = this.choice.current;
    if (replay && backend !== undefined) {
      this.#replayable = false;
      this.connection = undefined;
      connection.destroy(true);
      this.#dialAgain(backend, connection);
      return;
    }
    this.choice.failed(message === "" ? "connection closed" : message);
    this.fail(502, "backend-closed", "");
  }

  /** The answer broke the rules. */
  malformedAnswer(detail: string): void {
    this.#context.counters[Counter.malformedResponses]! += 1;
    this.choice.failed(`malformed answer: ${detail}`);
    this.fail(502, "backend-malformed", "");
  }

  /** 101: the connections belong together from now on. */
  switchProtocols(bytes: Uint8Array, start: number, end: number): void {
    const connection = this.connection!;
    this.connection = undefined;
    this.record.status = 101;
    this.#phase = Phase.Idle;
    this.#client.upgraded(connection, bytes, start, end);
  }

  /** The upgraded connection has ended. */
  upgradeEnded(bytesIn: number, bytesOut: number): void {
    this.record.tries = this.choice.tries;
    this.choice.done();
    this.record.bytesIn = bytesIn;
    this.record.bytesOut = bytesOut;
    this.record.end(this.#client.downstream.address);
  }

  /** The answer is complete; `reusable`: the backend's connection is in order. */
  answered(reusable: boolean): void {
    const { connection } = this;
    const complete = this.requestBody.done && connection?.stream.queuedBytes === 0;
    const close = !this.keepAlive || !this.requestBody.done || this.#response.closes;
    this.choice.succeeded();
    this.#end(reusable && complete);
    this.#finish(close);
  }

  /** Answers by ourselves if nothing was answered yet; else the client must see that it is cut. */
  fail(status: number, reason: Reason, detail: string): void {
    if (this.#response.begun) {
      this.record.reason = reason;
      const hard = this.#response.endsByClose;
      this.#end(false);
      this.#closeRecord();
      if (hard) this.#client.cut();
      else this.#client.exchangeDone(true);
      return;
    }
    this.#answer(status, reason, detail);
  }

  #answer(status: number, reason: Reason, detail: string): void {
    const { writer } = this.#context;
    // What follows a CONNECT may be anything but a request.
    const isOpaque = this.method === Method.Connect;
    const close = !this.keepAlive || !this.requestBody.done || status === 400 || isOpaque;
    this.record.status = status;
    this.record.reason = detail === "" ? reason : `${reason}: ${detail}`;
    this.#end(false);
    writer.length = 0;
    writeLocalAnswer(writer, {
      status,
      reason,
      detail,
      close,
      headOnly: this.headOnly,
      json: this.#json,
      sayKeepAlive: this.minor === 0,
    });
    this.record.bytesOut = writer.length;
    flush(writer, this.#client.stream);
    this.#finish(close);
  }

  #finish(close: boolean): void {
    this.#closeRecord();
    this.#client.exchangeDone(close);
  }

  #closeRecord(): void {
    this.record.tries = this.choice.tries;
    this.record.bytesIn = this.requestBody.bytes;
    if (this.#response.begun) this.record.bytesOut = this.#response.bytes;
    this.record.end(this.#client.downstream.address);
  }

  /** Gives the backend's connection back, or up. */
  #end(reusable: boolean): void {
    const { connection } = this;
    this.#phase = Phase.Idle;
    this.connection = undefined;
    this.choice.done();
    if (connection === undefined) return;
    this.#response.resumeUpstream(connection);
    this.#context.pool.release(connection, reusable);
  }
}
