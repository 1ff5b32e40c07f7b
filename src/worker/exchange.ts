// One request and its answer, between a client's connection and a backend's.
//
// Knows: the order of things (describe, route, deliver, answer, finish) and what each failure means to
// the client. Does not know how heads and bodies are written (request-writer, response-writer,
// body-relay), how a backend is reached and when again (delivery), nor when the next request of the
// connection begins (http-session).
//
// Lent to a connection while a request of its own is under way (exchange-pool), and reused for those
// of others: what must outlive the request stays with the connection.

import type { Stream } from "../io/stream.ts";
import { Method, type RequestHead } from "../protocol/request-head.ts";
import type { CompiledRoute } from "../routing/compiled-route.ts";
import { Counter } from "../telemetry/counters.ts";
import { BodyRelay, flush } from "./body-relay.ts";
import type { WorkerContext } from "./context.ts";
import { Delivery } from "./delivery.ts";
import type { KnownRequest } from "./known-heads.ts";
import { Lateness } from "./lateness.ts";
import { limited, statusOfBody, tellMalformed } from "./limited.ts";
import { isHead, type Reason, wantsJson } from "./local-answer.ts";
import type { MirrorCopy } from "./mirror-copy.ts";
import { type OwnAnswer, ownAnswerOf, sendOwnAnswer } from "./own-answer.ts";
import { pickHashOf } from "./pick-hash.ts";
import { RequestLimits } from "./request-limits.ts";
import { RequestRecord } from "./request-record.ts";
import { type Downstream, writeRequestHead } from "./request-writer.ts";
import { ResponseRelay } from "./response-relay.ts";
import { type StickyPlace, stickyPlaceOf } from "./sticky-choice.ts";
import type { UpstreamConnection } from "./upstream-connection.ts";

/** What an exchange needs of the connection it is lent to. */
export interface ExchangeClient {
  readonly stream: Stream;
  readonly downstream: Downstream;
  /** Bytes behind the request wait unread. */
  readonly holdsBytes: boolean;
  /** This is the last request that the connection may bring. */
  readonly isSpent: boolean;
  /** Something moved: the time without progress begins anew, and may take `limitMs`. */
  progressed(limitMs: number): void;
  /** The upstream is connected, or takes bytes again: go on with the request's body. */
  requestMayGoOn(): void;
  /** Answered; `close`: this connection carries no further request. Gives the exchange back. */
  exchangeDone(close: boolean): void;
  /** The answer broke off where only a reset tells the client so. Gives the exchange back. */
  cut(): void;
  /** The backend said 101; `early` bytes came behind its head. Keeps the exchange until `upgradeEnded`. */
  upgraded(upstream: UpstreamConnection, early: Uint8Array, start: number, end: number): void;
}

export class Exchange {
  readonly record: RequestRecord;
  readonly delivery: Delivery;
  readonly response: ResponseRelay;
  readonly requestBody: BodyRelay;
  readonly limits: RequestLimits;
  readonly lateness: Lateness;
  upgrade = false;
  /** The client spoke HTTP/1.1. */
  minor = 1;
  headOnly = false;
  method = 0;
  keepAlive = true;
  route: CompiledRoute | undefined;
  /** Where the client's sticky cookie leads, or undefined. */
  stickyPlace: StickyPlace | undefined;
  /** The client holds its body back until somebody says 100 (RFC 9110 section 10.1.1). */
  waitsForContinue = false;
  /** What is known of requests like this one. */
  known: KnownRequest | undefined;
  readonly #context: WorkerContext;
  #client: ExchangeClient | undefined;
  #json = false;

  constructor(context: WorkerContext) {
    this.#context = context;
    this.requestBody = new BodyRelay(context.limits);
    this.limits = new RequestLimits(context, this);
    this.lateness = new Lateness(context, this);
    this.record = new RequestRecord(context);
    this.delivery = new Delivery(context, this);
    this.response = new ResponseRelay(context, this);
  }

  /** Whose request it is; to be asked only while it is lent. */
  get client(): ExchangeClient {
    return this.#client!;
  }

  /** From now on it is this client's. */
  lendTo(client: ExchangeClient): void {
    this.#client = client;
  }

  /** It is nobody's: nothing of the last request is kept that is large, or that belongs to others. */
  rest(): void {
    this.#client = undefined;
    this.route = this.stickyPlace = this.known = undefined;
    this.delivery.choice.reset();
    this.response.rest();
  }

  get active(): boolean {
    return this.delivery.active;
  }

  /** Whether body bytes of the request can be taken now. */
  get takesBody(): boolean {
    return this.delivery.takesBody;
  }

  /** The backend reads the request's body slowly, until `requestMayGoOn`. */
  get isUpstreamClogged(): boolean {
    return this.delivery.queuedBytes > this.#context.limits.sendQueueBytesHigh;
  }

  /** Begins with the head `context.requestHead`, whose octets are in `bytes`. */
  begin(bytes: Uint8Array, known?: KnownRequest): void {
    const { requestHead: head, requestFacts, table } = this.#context;
    this.known = known;
    this.#describe(bytes, head);
    if (head.method === Method.Connect) return this.#answer(405, "method-refused", "");
    if (head.maxForwards === 0) return this.#answer(200, "max-forwards", "");
    if (head.hasVia && this.#isLooping(bytes)) return this.#answer(508, "request-loop", "");
    const route = table.matchHttp(bytes, head, requestFacts);
    this.route = route;
    if (route === undefined) {
      this.#context.counters[Counter.noRoute]! += 1;
      return this.#answer(404, "no-route", "");
    }
    this.record.route = route.name;
    const own = route.options && ownAnswerOf(this.#context, this.client.downstream, bytes, route);
    if (own !== undefined) return this.#answer(own.status, own.reason, "", own);
    this.#serve(bytes, route);
  }

  #serve(bytes: Uint8Array, route: CompiledRoute): void {
    const { sticky, requestHead: head, random } = this.#context;
    const place = route.sticky ? stickyPlaceOf(sticky, route, bytes, head.fields) : undefined;
    const service = place === undefined ? route.serviceFor(random) : place.service;
    // It only redirects, and to where the request is already.
    if (service === undefined) return this.#answer(404, "redirect-to-itself", "");
    this.stickyPlace = place;
    this.record.service = service.name;
    if (this.#isBeyondLimits(route)) return;
    const { downstream } = this.client;
    const key = service.hashKey;
    const hash = key === undefined ? 0 : pickHashOf(this.#context, key, downstream, bytes);
    this.delivery.choice.begin(service, downstream, route.retry, hash);
    if (this.upgrade) this.delivery.choice.asConnection();
    const backend = this.delivery.choice.next(place?.backend);
    if (backend !== undefined) return this.delivery.send(bytes, backend);
    if (this.delivery.choice.mustWait) {
      return this.delivery.hold(bytes, service.backends[0]?.address ?? service.name);
    }
    this.nobodyLeft("no-backend");
  }

  #describe(bytes: Uint8Array, head: RequestHead): void {
    this.record.begin(bytes, head);
    this.upgrade = head.upgrade;
    this.minor = head.minor;
    this.method = head.method;
    this.headOnly = isHead(head);
    this.keepAlive = head.keepAlive && !this.#context.leaving;
    this.stickyPlace = undefined;
    if (this.keepAlive && this.client.isSpent) this.#spend();
    this.waitsForContinue = head.expectContinue;
    this.delivery.begin(head);
    this.requestBody.begin(head.framing, head.contentLength, head.framing);
    this.response.begin(bytes);
    this.#json = wantsJson(bytes, head);
  }

  /** A route leads back to this router: each time round would take two connections more. */
  #isLooping(bytes: Uint8Array): boolean {
    const { via, requestHead: head, limits } = this.#context;
    return via !== undefined && via.timesNamed(bytes, head.fields) >= limits.viaNamedMax;
  }

  /** The answer will say that the connection ends. */
  #spend(): void {
    this.keepAlive = false;
    limited(this.#context.counters, "requests-per-connection");
  }

  /** Answers what no backend is to be bothered with. */
  #isBeyondLimits({ options }: CompiledRoute): boolean {
    const limit = this.limits.begin(this.#context.requestHead, options?.timeoutMs);
    if (limit === undefined) return false;
    const detail = limited(this.#context.counters, limit);
    if (limit === "body-bytes") this.#answer(413, "request-too-large", detail);
    else this.#answer(503, "upgraded-limit", detail);
    return true;
  }

  /** Writes the head as a backend at this address gets it. Answers a copy for the route's mirror, if it gets one. */
  writeHead(bytes: Uint8Array, address: string): MirrorCopy | undefined {
    const { route } = this;
    const context = this.#context;
    const { writer, requestHead: head, mirrors } = context;
    const { downstream } = this.client;
    writer.length = 0;
    writeRequestHead(context, bytes, head, downstream, address, route, this.known?.template);
    this.record.rememberId(bytes);
    return route?.options?.mirror === undefined ? undefined : mirrors.copyOf(route, downstream);
  }

  /** Every backend that could take the request has been tried, or there is none. */
  nobodyLeft(reason: "no-backend" | "no-backend-reachable"): void {
    if (this.delivery.choice.wasSent) return this.fail(502, "backend-closed", "");
    this.#context.counters[Counter.noBackend]! += 1;
    this.fail(503, reason, "");
  }

  /** The head has gone out on a new connection. */
  delivered(): void {
    if (!this.requestBody.done) this.limits.pace.watchRequest();
    this.client.progressed(this.lateness.silentMsMax);
    this.client.requestMayGoOn();
  }

  /**
   * Relays bytes of the request's body and answers where it stopped. `writer` may hold the head.
   * A broken framing ends the exchange: no backend ever sees a complete request.
   */
  feedRequest(bytes: Uint8Array, at: number, end: number): number {
    const { delivery, requestBody } = this;
    const { connection } = delivery;
    if (connection === undefined) return end;
    const { writer } = this.#context;
    const next = requestBody.feed(bytes, at, end, writer, connection.stream);
    if (requestBody.error !== "" || requestBody.bytes > this.#context.limits.bodyBytesMax) {
      writer.length = 0;
      this.#refuseBody();
      return end;
    }
    if (!requestBody.done) this.limits.pace.watchRequest();
    if (next > at) this.waitsForContinue = false;
    delivery.sentBody(bytes, at, next);
    flush(writer, connection.stream);
    delivery.mirrorBody(bytes, at, next);
    return next;
  }

  /** What was written of it is dropped: no backend takes it for whole. Nothing behind it is read as a request. */
  #refuseBody(): void {
    const { counters } = this.#context;
    this.keepAlive = false;
    const { error } = this.requestBody;
    if (error === "") return this.fail(413, "request-too-large", limited(counters, "body-bytes"));
    counters[Counter.malformedRequests]! += 1;
    this.fail(statusOfBody(error), "request-malformed", tellMalformed(counters, error));
  }

  /** The client is gone before it was answered. @param detail The limit by which it counts as gone; "" for none. */
  abort(detail = ""): void {
    if (!this.active) return;
    this.record.status = this.record.status === 0 ? 499 : this.record.status;
    this.record.reason = detail === "" ? "client-closed" : `client-closed: ${detail}`;
    this.#context.counters[Counter.clientAborts]! += 1;
    this.#end(false);
    this.#closeRecord();
  }

  /**
   * The client may be gone: then the backend is to hear of it. True: the client must be reset, or it would,
   * if it waits after all, take for whole what is not.
   */
  abandon(): boolean {
    const { response } = this;
    const hard = !response.begun || response.endsByClose;
    this.abort(limited(this.#context.counters, "client-ended-time"));
    return hard;
  }

  /** The client reads again. */
  clientWritable(): void {
    this.response.resumeUpstream();
  }

  /** The answer broke the rules. */
  malformedAnswer(detail: string): void {
    this.#context.counters[Counter.malformedResponses]! += 1;
    this.delivery.choice.failed(`malformed answer: ${detail}`);
    if (!this.response.begun && this.delivery.goesOnBesides()) return;
    this.fail(502, "backend-malformed", "");
  }

  /** 101: the connections belong together from now on. */
  switchProtocols(bytes: Uint8Array, start: number, end: number): void {
    this.record.status = 101;
    this.limits.endTimes();
    this.client.upgraded(this.delivery.handOver(), bytes, start, end);
  }

  /** The upgraded connection has ended. */
  upgradeEnded(bytesIn: number, bytesOut: number): void {
    const { choice } = this.delivery;
    this.record.tries = choice.tries;
    this.record.queuedMs = choice.waitedMs;
    choice.done();
    this.limits.end();
    this.record.bytesIn = bytesIn;
    this.record.bytesOut = bytesOut;
    this.record.end(this.client.downstream.address);
  }

  /** The answer is complete; `reusable`: the backend's connection is in order. */
  answered(reusable: boolean): void {
    const { delivery } = this;
    const complete =
      this.requestBody.done && delivery.connection !== undefined && delivery.queuedBytes === 0;
    const close = !this.keepAlive || !this.requestBody.done || this.response.closes;
    delivery.choice.succeeded();
    this.#end(reusable && complete);
    this.#finish(close);
  }

  /** Answers by ourselves if nothing was answered yet; else the client must see that it is cut. */
  fail(status: number, reason: Reason, detail: string): void {
    if (this.response.begun) this.breakOff(reason, detail, this.response.endsByClose);
    else this.#answer(status, reason, detail);
  }

  /** The answer has begun and will not be whole. @param hard Nothing that still waits is sent. */
  breakOff(reason: Reason, detail: string, hard: boolean): void {
    this.record.reason = detail === "" ? reason : `${reason}: ${detail}`;
    this.#end(false);
    this.#closeRecord();
    if (hard) this.client.cut();
    else this.client.exchangeDone(true);
  }

  #answer(status: number, reason: Reason, detail: string, own?: OwnAnswer): void {
    // What follows a CONNECT, or an upgrade that does not come, may be anything but a request.
    const isOpaque = this.method === Method.Connect || (this.upgrade && this.client.holdsBytes);
    const close = !this.keepAlive || !this.requestBody.done || status === 400 || isOpaque;
    this.record.status = status;
    this.record.reason = detail === "" ? reason : `${reason}: ${detail}`;
    this.#end(false);
    const { route, headOnly, minor } = this;
    const said = { status, reason, detail, close, route, headOnly, minor, json: this.#json, own };
    this.record.bytesOut = sendOwnAnswer(this.#context, this.client.stream, said);
    this.#finish(close);
  }

  /** The last thing done: the client gives the exchange back, and may be lent it again at once. */
  #finish(close: boolean): void {
    this.#closeRecord();
    this.client.exchangeDone(close);
  }

  #closeRecord(): void {
    this.record.tries = this.delivery.choice.tries;
    this.record.queuedMs = this.delivery.choice.waitedMs;
    this.record.bytesIn = this.requestBody.bytes;
    if (this.response.begun) this.record.bytesOut = this.response.bytes;
    this.record.end(this.client.downstream.address);
  }

  /** Lets the backend's connection read on, and gives it back, or up. */
  #end(reusable: boolean): void {
    this.limits.end();
    this.response.resumeUpstream();
    this.delivery.end(reusable);
  }
}
