// What is remembered of one request until its line in the access log is written, and the counting
// that goes with its end. Reused with its exchange.

import type { RequestHead } from "../protocol/request-head.ts";
import { AccessField } from "../telemetry/access-log.ts";
import { Counter, observeDuration } from "../telemetry/counters.ts";
import type { WorkerContext } from "./context.ts";
import { sentRequestId } from "./request-writer.ts";

/** Request line, host and id of a typical request fit; a longer one grows the buffer once. */
const textBytesUsual = 512;
/** A buffer up to this size stays with an idle exchange; a larger one is given back. */
const textBytesKeptMax = 2048;
const noBytes = new Uint8Array(0);

export class RequestRecord {
  startMs = 0;
  status = 0;
  tries = 0;
  bytesIn = 0;
  bytesOut = 0;
  route = "";
  service = "";
  backend = "";
  reason = "";
  protocol = "http/1.1";
  revision = 0;
  readonly #context: WorkerContext;
  /** Method, target, host, id, one behind the other; only when there is an access log. */
  #text: Uint8Array = noBytes;
  #methodEnd = 0;
  #targetEnd = 0;
  #hostEnd = 0;
  #idEnd = 0;

  constructor(context: WorkerContext) {
    this.#context = context;
  }

  /** A head has been parsed (`head`), or could not be (undefined). */
  begin(bytes: Uint8Array, head: RequestHead | undefined): void {
    const { counters, nowMs, table, accessLog } = this.#context;
    this.startMs = nowMs();
    this.status = this.tries = this.bytesIn = this.bytesOut = 0;
    this.route = this.service = this.backend = this.reason = "";
    this.revision = table.revision;
    this.#methodEnd = this.#targetEnd = this.#hostEnd = this.#idEnd = 0;
    counters[Counter.requestsTotal]! += 1;
    counters[Counter.requestsInFlight]! += 1;
    if (head === undefined) return;
    this.protocol = head.minor === 1 ? "http/1.1" : "http/1.0";
    if (accessLog === undefined) return;
    this.#methodEnd = this.#keep(bytes, head.methodStart, head.methodEnd, 0);
    this.#targetEnd = this.#keep(bytes, head.targetStart, head.targetEnd, this.#methodEnd);
    this.#hostEnd = this.#keep(bytes, head.hostStart, head.hostEnd, this.#targetEnd);
    this.#idEnd = this.#hostEnd;
  }

  /** The head for the backend was written, with its request id. */
  rememberId(bytes: Uint8Array): void {
    if (this.#context.accessLog === undefined) return;
    const { start, end } = sentRequestId;
    const { last } = this.#context.requestIds;
    this.#idEnd =
      start >= 0
        ? this.#keep(bytes, start, end, this.#hostEnd)
        : this.#keep(last, 0, last.length, this.#hostEnd);
  }

  /** Counts the request and writes its line. */
  end(client: string): void {
    const { counters, nowMs, accessLog } = this.#context;
    const durationMs = nowMs() - this.startMs;
    counters[Counter.requestsInFlight]! -= 1;
    observeDuration(counters, durationMs);
    countStatus(counters, this.status);
    if (accessLog === undefined) return;
    accessLog.begin();
    accessLog.textField(AccessField.client, client);
    const text = this.#text;
    accessLog.bytesField(AccessField.method, text, 0, this.#methodEnd);
    accessLog.bytesField(AccessField.host, text, this.#targetEnd, this.#hostEnd);
    accessLog.bytesField(AccessField.path, text, this.#methodEnd, this.#targetEnd);
    accessLog.textField(AccessField.protocol, this.protocol);
    accessLog.numberField(AccessField.status, this.status);
    accessLog.numberField(AccessField.bytesIn, this.bytesIn);
    accessLog.numberField(AccessField.bytesOut, this.bytesOut);
    accessLog.numberField(AccessField.durationMs, durationMs);
    accessLog.textField(AccessField.route, this.route);
    accessLog.textField(AccessField.service, this.service);
    accessLog.textField(AccessField.backend, this.backend);
    accessLog.numberField(AccessField.tries, this.tries);
    accessLog.numberField(AccessField.revision, this.revision);
    accessLog.textField(AccessField.reason, this.reason);
    accessLog.bytesField(AccessField.requestId, text, this.#hostEnd, this.#idEnd);
    accessLog.end();
    if (this.#text.length > textBytesKeptMax) this.#text = noBytes;
  }

  #keep(bytes: Uint8Array, start: number, end: number, at: number): number {
    const stop = at + (end - start);
    if (stop > this.#text.length) {
      const grown = new Uint8Array(Math.max(textBytesUsual, stop + 256));
      grown.set(this.#text);
      this.#text = grown;
    }
    const text = this.#text;
    for (let i = start, to = at; i < end; i++) text[to++] = bytes[i]!;
    return stop;
  }
}

function countStatus(counters: Float64Array, status: number): void {
  if (status >= 500) counters[Counter.responses5xx]! += 1;
  else if (status >= 400) counters[Counter.responses4xx]! += 1;
  else if (status >= 300) counters[Counter.responses3xx]! += 1;
  // Interim answers, 101 with them, were counted when they were passed on.
  else if (status >= 200) counters[Counter.responses2xx]! += 1;
}
