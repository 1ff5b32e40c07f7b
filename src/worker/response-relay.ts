// The answer of one exchange: its head is checked and rewritten, its body relayed, its end noticed.

import { Framing } from "../protocol/framing.ts";
import { HeadScanner } from "../protocol/head-end.ts";
import type { ResponseHead } from "../protocol/response-head.ts";
import { wasOffered } from "../protocol/upgrade.ts";
import { Counter } from "../telemetry/counters.ts";
import { BodyRelay, flush } from "./body-relay.ts";
import type { WorkerContext } from "./context.ts";
import { dateLineAt } from "./date-line.ts";
import type { Exchange } from "./exchange.ts";
import type { HeadTemplate } from "./head-template.ts";
import type { KnownAnswer } from "./known-heads.ts";
import {
  type ResponseHeadOptions,
  writeInterimHead,
  writeResponseHead,
} from "./response-writer.ts";
import { stickyField } from "./sticky-cookie.ts";

const noBytes = new Uint8Array(0);
/** A buffer up to this size is kept for the next head in pieces; a larger one is given back. */
const keptBytesMax = 2048;

export class ResponseRelay {
  /** The head of the final answer has been sent. */
  begun = false;
  readonly #context: WorkerContext;
  readonly #exchange: Exchange;
  readonly #body: BodyRelay;
  readonly #options: ResponseHeadOptions = {
    framing: Framing.None,
    close: false,
    sayKeepAlive: false,
    stickyCookie: undefined,
    dateLine: undefined,
    viaLine: undefined,
  };
  /** The beginning of a head that has not arrived whole. */
  #partial: Uint8Array = noBytes;
  #partialLength = 0;
  #scanner: HeadScanner | undefined;
  #interims = 0;
  /** The protocols that the client offered to switch to. */
  #offered: Uint8Array = noBytes;
  #upstreamKeepAlive = false;
  #paused = false;

  constructor(context: WorkerContext, exchange: Exchange) {
    this.#context = context;
    this.#exchange = exchange;
    this.#body = new BodyRelay(context.limits);
  }

  /** For the request that `context.requestHead` has just parsed out of `request`. */
  begin(request: Uint8Array): void {
    const { upgrade, upgradeStart, upgradeEnd } = this.#context.requestHead;
    // A copy, which `slice` of a Buffer is not.
    this.#offered = upgrade ? new Uint8Array(request.subarray(upgradeStart, upgradeEnd)) : noBytes;
    this.begun = false;
    this.#partialLength = 0;
    this.#interims = 0;
    this.#options.close = false;
  }

  /** There is no request: nothing large is kept of the last one's answer. */
  rest(): void {
    this.#offered = noBytes;
    this.#dropLarge();
  }

  /** The client was told that the connection ends. */
  get closes(): boolean {
    return this.#options.close;
  }

  /** Only the end of the connection tells the client where the body ends: cutting it must look like a cut. */
  get endsByClose(): boolean {
    return this.#body.framingOut === Framing.UntilClose;
  }

  /** Bytes of the body that were passed on. */
  get bytes(): number {
    return this.#body.bytes;
  }

  receive(bytes: Uint8Array, start: number, end: number): void {
    if (this.begun) return this.#relay(bytes, start, end);
    const { delivery } = this.#exchange;
    if (this.#partialLength === 0) {
      const answer = this.#knownAnswer;
      if (answer !== undefined && this.#context.knownAnswers.isAt(answer, bytes, start, end)) {
        if (delivery.refuses(answer.head, start + answer.length, end)) return;
        this.#beginAnswer(answer.bytes, answer.head, answer.template);
        return this.#relay(bytes, start + answer.length, end);
      }
      const at = this.#readHeads(bytes, start, end);
      if (at >= 0) this.#relay(bytes, at, end);
      return;
    }
    this.#keep(bytes, start, end);
    const whole = this.#partial;
    const length = this.#partialLength;
    // A head in many pieces is parsed once: when it is whole, or wrong.
    if (this.#scanner?.scan(whole, 0, length) === false) return;
    this.#partialLength = 0;
    const at = this.#readHeads(whole, 0, length);
    if (at >= 0) this.#relay(whole, at, length);
    if (this.#partialLength === 0) this.#dropLarge();
  }

  /** The backend ends its side. True: that completed the answer, or there is nothing to complete. */
  upstreamEnded(): boolean {
    const { writer } = this.#context;
    if (!this.#exchange.active) return true;
    if (!this.begun) return false;
    writer.length = 0;
    if (!this.#body.finish(writer)) return false;
    flush(writer, this.#exchange.client.stream);
    this.#complete(false);
    return true;
  }

  /**
   * No more will come of this head: whether it was wrong already, which the scanner does not look for. Then the
   * exchange is over, with the reason that the same bytes get when they come at once.
   */
  refusedPartial(): boolean {
    if (this.begun || this.#partialLength === 0) return false;
    const { responseHead: head } = this.#context;
    if (head.parse(this.#partial, 0, this.#partialLength, this.#exchange.method) >= 0) return false;
    this.#exchange.malformedAnswer(head.error);
    return true;
  }

  /** What has come of a head is not to be the beginning of the answer. */
  forgetPartial(): void {
    this.#partialLength = 0;
  }

  /** The client reads again, or the connection goes back to the pool. */
  resumeUpstream(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#exchange.delivery.connection?.stream.resume();
  }

  /** Reads interim and final heads; answers where the body begins, or -1 when it is not there. */
  #readHeads(bytes: Uint8Array, start: number, end: number): number {
    const { responseHead: head } = this.#context;
    let at = start;
    while (at < end) {
      const next = head.parse(bytes, at, end, this.#exchange.method);
      if (next === 0) break;
      if (next < 0) {
        this.#exchange.malformedAnswer(head.error);
        return -1;
      }
      if (head.status >= 200) {
        if (this.#exchange.delivery.refuses(head, next, end)) return -1;
        this.#learn(bytes, at, next);
        this.#beginAnswer(bytes, head);
        return next;
      }
      if (!this.#interim(bytes, head, next, end)) return -1;
      at = next;
    }
    this.#stash(bytes, at, end);
    return -1;
  }

  /** What is likely to come: what answered the last request like this one, or the last one on the same connection. */
  get #knownAnswer(): KnownAnswer | undefined {
    const { known, headOnly, delivery } = this.#exchange;
    // The same fields say something else about the body that follows.
    if (headOnly) return undefined;
    return known === undefined ? delivery.connection?.lastAnswer : known.answer;
  }

  #learn(bytes: Uint8Array, start: number, end: number): void {
    const { known, headOnly, delivery } = this.#exchange;
    if (headOnly) return;
    const answer = this.#context.knownAnswers.learn(bytes, start, end);
    if (known !== undefined) known.answer = answer;
    else if (delivery.connection !== undefined) delivery.connection.lastAnswer = answer;
  }

  /** Passes a 1xx on (RFC 9110 section 15.2). False: this was 101, and the exchange is over. */
  #interim(bytes: Uint8Array, head: ResponseHead, next: number, end: number): boolean {
    const exchange = this.#exchange;
    const switching = head.status === 101;
    const wrong = switching ? this.#whyNoSwitch(bytes, head) : this.#whyNoInterim();
    if (wrong !== "") {
      exchange.malformedAnswer(wrong);
      return false;
    }
    const { writer, counters } = this.#context;
    counters[Counter.responses1xx]! += 1;
    exchange.delivery.interim();
    // A client of HTTP/1.0 does not know interim answers.
    if (exchange.minor === 1) {
      writer.length = 0;
      writeInterimHead(writer, bytes, head, switching ? this.#stickyCookie() : undefined);
      flush(writer, this.#exchange.client.stream);
    }
    if (switching) exchange.switchProtocols(bytes, next, end);
    else {
      if (head.status === 100) exchange.waitsForContinue = false;
      this.#exchange.client.progressed(exchange.lateness.silentMsMax);
    }
    return !switching;
  }

  /** RFC 9110 section 7.8: asked for, and with a protocol named that was offered. */
  #whyNoSwitch(bytes: Uint8Array, { upgradeStart, upgradeEnd }: ResponseHead): string {
    if (!this.#exchange.upgrade) return "101 to a request that asked for no upgrade";
    if (upgradeEnd === upgradeStart) return "101 without Upgrade";
    const offered = wasOffered(bytes, upgradeStart, upgradeEnd, this.#offered);
    return offered ? "" : "101 to a protocol that was not offered";
  }

  #whyNoInterim(): string {
    const tooMany = ++this.#interims > this.#context.limits.interimAnswersMax;
    return tooMany ? "too many interim answers" : "";
  }

  #beginAnswer(bytes: Uint8Array, head: ResponseHead, template?: HeadTemplate): void {
    const exchange = this.#exchange;
    const options = this.#options;
    const { writer } = this.#context;
    let framing = head.framing;
    if (framing === Framing.Chunked || framing === Framing.UntilClose) {
      framing = exchange.minor === 1 ? Framing.Chunked : Framing.UntilClose;
    }
    options.framing = framing;
    options.close =
      !exchange.keepAlive ||
      this.#context.leaving ||
      framing === Framing.UntilClose ||
      (!exchange.requestBody.done && !this.#streamsBeside(head.status, framing)) ||
      (exchange.upgrade && this.#exchange.client.holdsBytes);
    options.sayKeepAlive = exchange.minor === 0;
    options.stickyCookie = this.#stickyCookie();
    options.dateLine = head.hasDate ? undefined : dateLineAt(this.#context.wallMs());
    options.viaLine = this.#context.via?.line(head.minor);
    this.begun = true;
    exchange.delivery.connection?.forgetSaved();
    exchange.delivery.choice.answered(head.status);
    this.#upstreamKeepAlive = head.keepAlive;
    exchange.record.status = head.status;
    this.#body.begin(head.framing, head.contentLength, framing);
    writer.length = 0;
    writeResponseHead(writer, bytes, head, options, template);
  }

  /**
   * A 2xx in chunks may stream beside its request and outlast it: whether the connection can be kept shows at the end
   * (Exchange.answered). To say "close" at its head would make clients let go of the connection at once, as Python's
   * http.client does, and lose the rest of the request. A refusal (413) that cuts the request short still says it; and
   * so does what answers a client that waits for 100 Continue: it need not send its body (RFC 9110 section 10.1.1),
   * and may take the next request to be welcome.
   */
  #streamsBeside(status: number, framing: number): boolean {
    return framing === Framing.Chunked && status < 300 && !this.#exchange.waitsForContinue;
  }

  #stickyCookie(): string | undefined {
    const { route, stickyPlace, delivery } = this.#exchange;
    const backend = delivery.choice.current;
    if (route?.sticky !== true || backend === undefined || backend === stickyPlace?.backend) {
      return undefined;
    }
    const value = this.#context.sticky.seal(backend.service, backend.endpoint.address);
    return stickyField(value, route.path);
  }

  /** `writer` holds the head when this is the first piece. */
  #relay(bytes: Uint8Array, start: number, end: number): void {
    const { writer, counters, limits } = this.#context;
    const { stream } = this.#exchange.client;
    const before = this.#body.bytes;
    const stop = this.#body.feed(bytes, start, end, writer, stream);
    flush(writer, stream);
    counters[Counter.bytesToClients]! += this.#body.bytes - before;
    if (this.#body.error !== "") return this.#exchange.malformedAnswer(this.#body.error);
    if (this.#body.done) return this.#complete(stop === end);
    this.#exchange.client.progressed(limits.bodyIdleMsMax);
    if (stream.queuedBytes > limits.sendQueueBytesHigh && !this.#paused) {
      this.#paused = true;
      this.#exchange.limits.pace.watchAnswer();
      this.#exchange.delivery.connection?.stream.pause();
    }
  }

  #complete(nothingLeft: boolean): void {
    this.#exchange.answered(nothingLeft && this.#upstreamKeepAlive);
  }

  #stash(bytes: Uint8Array, start: number, end: number): void {
    if (end - start > this.#context.limits.headBytesMax) {
      this.#exchange.malformedAnswer("the head is too long");
      return;
    }
    this.#partialLength = 0;
    if (end === start) return;
    this.#keep(bytes, start, end);
    this.#scanner ??= new HeadScanner(this.#context.limits);
    this.#scanner.reset();
  }

  #dropLarge(): void {
    if (this.#partial.length > keptBytesMax) this.#partial = noBytes;
  }

  #keep(bytes: Uint8Array, start: number, end: number): void {
    const length = this.#partialLength + (end - start);
    if (length > this.#partial.length) {
      const grown = new Uint8Array(Math.max(1024, length * 2));
      grown.set(this.#partial.subarray(0, this.#partialLength));
      this.#partial = grown;
    }
    // `copyWithin` semantics: after an interim answer the rest may come from this very buffer.
    this.#partial.set(bytes.subarray(start, end), this.#partialLength);
    this.#partialLength = length;
  }
}
