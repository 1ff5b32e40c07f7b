// What is remembered of one request until its line in the access log is written, and the counting
// that goes with its end. Reused with its exchange.

import { retriesToldMax } from "../limits.ts";
import { Method, type RequestHead } from "../protocol/request-head.ts";
import { AccessField, fieldsOf } from "../telemetry/access-fields.ts";
import { Counter, observeDuration } from "../telemetry/counters.ts";
import { KeptFields } from "../telemetry/kept-fields.ts";
import type { Piece } from "../telemetry/line-bytes.ts";
import type { WorkerContext } from "./context.ts";
import { sentRequestId } from "./request-writer.ts";

/** Of a shorter duration the thousandths are a small integer: half an hour and more. */
const boxlessMsMax = 2_000_000;
/** By their numbers; Method.Other has no name of its own. */
const methods: (Piece | undefined)[] = [];
for (const [name, method] of Object.entries(Method)) {
  if (method !== Method.Other) methods[method] = fieldsOf({ method: name.toUpperCase() });
}
const http10 = fieldsOf({ protocol: "http/1.0" });
const http11 = fieldsOf({ protocol: "http/1.1" });
const noHead = fieldsOf({ method: "", host: "", path: "", protocol: "http/1.1" });
const noId = fieldsOf({ request_id: "" });

export class RequestRecord {
  startMs = 0;
  status = 0;
  tries = 0;
  bytesIn = 0;
  bytesOut = 0;
  /** For how long it waited for its turn at its service, in ms. */
  queuedMs = 0;
  route = "";
  service = "";
  backend = "";
  reason = "";
  revision = 0;
  /** Why it was tried again, and after whom: "reset 10.0.0.1:80, status-503 10.0.0.2:80"; "" when it was not. */
  retries = "";
  readonly #context: WorkerContext;
  /** Method, host, path, protocol, then the id; only when there is an access log. */
  readonly #kept = new KeptFields();
  /** Where the id begins in what is kept. */
  #idAt = 0;

  constructor(context: WorkerContext) {
    this.#context = context;
  }

  /** A head has been parsed (`head`), or could not be (undefined). */
  begin(bytes: Uint8Array, head: RequestHead | undefined): void {
    const { counters, nowMs, table, accessLog } = this.#context;
    this.startMs = nowMs();
    this.status = this.tries = this.bytesIn = this.bytesOut = this.queuedMs = 0;
    this.route = this.service = this.backend = this.reason = this.retries = "";
    this.revision = table.revision;
    counters[Counter.requestsTotal]! += 1;
    counters[Counter.requestsInFlight]! += 1;
    if (accessLog === undefined) return;
    const kept = this.#kept;
    kept.length = 0;
    if (head === undefined) {
      kept.ready(noHead);
    } else {
      const method = methods[head.method];
      if (method !== undefined) kept.ready(method);
      else kept.bytesField(AccessField.method, bytes, head.methodStart, head.methodEnd);
      kept.bytesField(AccessField.host, bytes, head.hostStart, head.hostEnd);
      kept.bytesField(AccessField.path, bytes, head.targetStart, head.targetEnd);
      kept.ready(head.minor === 1 ? http11 : http10);
    }
    this.#idAt = kept.length;
  }

  /** The head for the backend was written, with its request id. */
  rememberId(bytes: Uint8Array): void {
    const { accessLog, requestIds } = this.#context;
    if (accessLog === undefined) return;
    const kept = this.#kept;
    kept.length = this.#idAt;
    const { start, end } = sentRequestId;
    if (start >= 0) kept.bytesField(AccessField.requestId, bytes, start, end);
    else kept.asciiField(AccessField.requestId, requestIds.lastView, requestIds.last.length);
  }

  /** It is tried again. @param backend Whose try gave the reason. */
  noteRetry(why: string, backend: string): void {
    const told = `${why} ${backend}`;
    const retries = this.retries === "" ? told : `${this.retries}, ${told}`;
    if (retries.length <= retriesToldMax) this.retries = retries;
  }

  /** Counts the request and writes its line. */
  end(client: string): void {
    const { counters, nowMs, accessLog } = this.#context;
    const durationMs = nowMs() - this.startMs;
    counters[Counter.requestsInFlight]! -= 1;
    observeDuration(counters, durationMs);
    countStatus(counters, this.status);
    if (accessLog === undefined) return;
    const kept = this.#kept;
    if (kept.length === this.#idAt) kept.ready(noId);
    accessLog.begin();
    accessLog.client(client);
    accessLog.keptFields(kept, 0, this.#idAt);
    if (this.bytesIn === 0) {
      accessLog.readyFields(accessLog.ready.bodiless(this.status));
    } else {
      accessLog.numberField(AccessField.status, this.status);
      accessLog.numberField(AccessField.bytesIn, this.bytesIn);
    }
    accessLog.numberField(AccessField.bytesOut, this.bytesOut);
    if (durationMs >= 0 && durationMs < boxlessMsMax) {
      accessLog.thousandthsField(AccessField.durationMs, Math.round(durationMs * 1000) | 0);
    } else {
      accessLog.numberField(AccessField.durationMs, durationMs);
    }
    if (this.queuedMs > 0) accessLog.numberField(AccessField.queuedMs, this.queuedMs);
    accessLog.place(this.route, this.service, this.backend);
    if (this.tries === 1 && this.reason === "") {
      accessLog.readyFields(accessLog.ready.untroubled(this.revision));
    } else {
      accessLog.numberField(AccessField.tries, this.tries);
      accessLog.numberField(AccessField.revision, this.revision);
      accessLog.textField(AccessField.reason, this.reason);
      if (this.retries !== "") accessLog.textField(AccessField.retries, this.retries);
    }
    accessLog.keptFields(kept, this.#idAt, kept.length);
    accessLog.end();
    kept.release();
  }
}

function countStatus(counters: Float64Array, status: number): void {
  if (status >= 500) counters[Counter.responses5xx]! += 1;
  else if (status >= 400) counters[Counter.responses4xx]! += 1;
  else if (status >= 300) counters[Counter.responses3xx]! += 1;
  // Interim answers, 101 with them, were counted when they were passed on.
  else if (status >= 200) counters[Counter.responses2xx]! += 1;
}
