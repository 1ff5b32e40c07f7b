// What an answer to a probe says: healthy by its status, and where that is asked for by what its body holds.
//
// Pure: it is fed octets as they come. Reads HTTP as the data plane does, so that a backend whose answers requests could not use is
// not healthy either. Keeps of a head `probeBytesMax` at most, of a body nothing.

import { headFieldsMax, probeBytesMax, probeInterimAnswersMax, targetBytesMax } from "../limits.ts";
import type { Probe } from "../model/service-options.ts";
import { HeadScanner } from "../protocol/head-end.ts";
import { Method } from "../protocol/method.ts";
import { ResponseHead } from "../protocol/response-head.ts";
import { failed, healthy, late, type ProbeResult } from "./probe-result.ts";
import { ProbedBody } from "./probed-body.ts";

export type HttpProbeSettings = Extract<Probe, { kind: "http" }>;

const headLimits = { headBytesMax: probeBytesMax, headFieldsMax, targetBytesMax };
/** Who sends something else than HTTP is told apart by these, and needs no empty line to be found out. */
const lookAtOnceBytes = 64;
/** Of a text in a reason. */
const quotedMax = 40;
const switchingProtocols = 101;
const heldBytesMin = 1024;
const noBytes = new Uint8Array(0);

/** For all probes: read whole within one call. */
const head = new ResponseHead(headLimits);

export class HttpAnswer {
  readonly #settings: HttpProbeSettings;
  /** Made with `#held`, for a head that comes in pieces. */
  #scanner: HeadScanner | undefined;
  /** What came of a head: the first `#length` octets. */
  #held: Uint8Array = noBytes;
  #length = 0;
  #interim = 0;
  #status = 0;
  #body: ProbedBody | undefined;
  #result: ProbeResult | undefined;
  /** Nothing more is to be read. */
  isOver = false;
  /** And nothing more will come: the connection can be closed in order. */
  isWhole = false;

  constructor(settings: HttpProbeSettings) {
    this.#settings = settings;
  }

  /** What it came to; undefined until `isOver`. */
  get result(): ProbeResult | undefined {
    return this.isOver ? this.#result : undefined;
  }

  /** Takes bytes[start..end). */
  feed(bytes: Uint8Array, start: number, end: number): void {
    if (this.isOver) return;
    if (this.#body !== undefined) return this.#feedBody(this.#body, bytes, start, end);
    if (this.#length === 0 && this.#interim === 0 && this.#readWhole(bytes, start, end)) return;
    this.#hold(bytes, start, end);
    this.#readHeads();
  }

  /** Nearly every head comes in one piece, and is read where it is. False: it is not all there, or not the last one. */
  #readWhole(bytes: Uint8Array, start: number, end: number): boolean {
    const after = head.parse(bytes, start, end, Method.Get);
    if (after < 0) {
      this.#over(failed(brokenHead(head.error)));
      return true;
    }
    if (after === 0 || this.#isInterim(head.status)) return false;
    this.#begin(bytes, after, end);
    return true;
  }

  /** The backend sends no more. */
  end(): void {
    if (this.isOver) return;
    if (this.#body === undefined) {
      const isBegun = this.#length > 0;
      return this.#over(
        failed(isBegun ? "closed in the middle of its answer" : "closed without an answer"),
      );
    }
    this.#body.end();
    this.#judgeBody(this.#body);
  }

  /** The connection broke. */
  broke(): void {
    if (this.isOver) return;
    const when = this.#length > 0 || this.#body !== undefined ? "in the middle of" : "before";
    this.#over(this.#badNews ?? failed(`connection reset ${when} its answer`));
  }

  /** What came until the time was over; `connected`: whether there was a connection at all. */
  expire(timeoutMs: number, connected: boolean): ProbeResult {
    if (this.#result !== undefined) return this.#result;
    if (!connected) return late("no connection", timeoutMs);
    if (this.#body !== undefined) {
      return late(`HTTP ${this.#status}, but no end of its body`, timeoutMs);
    }
    return late(this.#length > 0 ? "no end of its head" : "no answer", timeoutMs);
  }

  /** What is known already, whatever else comes; undefined: nothing, or nothing bad. */
  get #badNews(): ProbeResult | undefined {
    return this.#result?.healthy === false ? this.#result : undefined;
  }

  /** Doubled, so that a head that comes octet by octet costs no more than its length. */
  #hold(bytes: Uint8Array, start: number, end: number): void {
    const length = this.#length + (end - start);
    if (length > this.#held.length) {
      const grown = new Uint8Array(Math.max(length, 2 * this.#held.length, heldBytesMin));
      grown.set(this.#held.subarray(0, this.#length));
      this.#held = grown;
    }
    this.#held.set(bytes.subarray(start, end), this.#length);
    this.#length = length;
  }

  #readHeads(): void {
    const scanner = (this.#scanner ??= new HeadScanner(headLimits));
    for (;;) {
      const held = this.#held;
      const length = this.#length;
      const scanned = scanner.scan(held, 0, length);
      if (!scanned && length > lookAtOnceBytes) return;
      const after = head.parse(held, 0, length, Method.Get);
      if (after === 0) return;
      if (after < 0) return this.#over(failed(brokenHead(head.error)));
      held.copyWithin(0, after, length);
      this.#length = length - after;
      if (!this.#isInterim(head.status)) return this.#begin(held, 0, this.#length);
      if (++this.#interim > probeInterimAnswersMax) {
        return this.#over(failed(`more than ${probeInterimAnswersMax} interim answers`));
      }
    }
  }

  #isInterim(status: number): boolean {
    if (status >= 200 || status === switchingProtocols) return false;
    return this.#settings.statuses?.includes(status) !== true;
  }

  /** bytes[start..end) is what came behind the head. */
  #begin(bytes: Uint8Array, start: number, end: number): void {
    const { statuses, body } = this.#settings;
    const { status } = head;
    this.#status = status;
    const isGood =
      statuses === undefined ? status >= 200 && status < 400 : statuses.includes(status);
    const wanted = isGood && body !== undefined ? Buffer.from(body) : undefined;
    if (!isGood) this.#result = failed(`HTTP ${status}`);
    else if (wanted === undefined) this.#result = healthy(`HTTP ${status}`);
    const probed = new ProbedBody(head.framing, head.contentLength, wanted);
    this.#body = probed;
    this.#feedBody(probed, bytes, start, end);
  }

  #feedBody(body: ProbedBody, bytes: Uint8Array, start: number, end: number): void {
    body.take(bytes, start, end);
    if (body.isFound) this.#result ??= healthy(`HTTP ${this.#status}, its body as expected`);
    this.#judgeBody(body);
  }

  #judgeBody(body: ProbedBody): void {
    const { isWhole, isEnough, error } = body;
    if (!isWhole && !isEnough && error === "") return;
    this.isWhole = isWhole;
    const said = `HTTP ${this.#status}, but`;
    // A good status is worth nothing when requests would get half an answer.
    if (error !== "") return this.#over(this.#badNews ?? failed(`${said} ${error}`));
    if (this.#result !== undefined) return this.#over(this.#result);
    const what = body.isCut ? "the first 64 KiB of its body do" : "its body does";
    this.#over(failed(`${said} ${what} not hold ${quoted(this.#settings.body ?? "")}`));
  }

  #over(result: ProbeResult): void {
    this.#result = result;
    this.isOver = true;
  }
}

function brokenHead(error: string): string {
  if (error === "head-too-long") return "more than 64 KiB without an end";
  return error === "too-many-fields" ? `more than ${headFieldsMax} fields` : `not HTTP: ${error}`;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > quotedMax ? `${text.slice(0, quotedMax)}…` : text);
}
