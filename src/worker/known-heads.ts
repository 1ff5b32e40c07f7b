// What a worker remembers of heads that came before, beside what they say: how the request was answered last, and the
// heads that were written for them.
//
// Everything that depends on the time, on chance, on the load or on the table is asked anew for each request.

import { HeadMemory, type HeadMemoryLimits, KnownHead } from "../protocol/head-memory.ts";
import { Method } from "../protocol/method.ts";
import { type HeadLimits, RequestHead } from "../protocol/request-head.ts";
import { ResponseHead } from "../protocol/response-head.ts";
import { HeadTemplate } from "./head-template.ts";

/**
 * Of requests and of answers each: 2 MiB a worker when they are as large as may be. A browser's head with a few cookies
 * is remembered, and has some 15 fields.
 */
const bounds: HeadMemoryLimits = { headsKnownMax: 256, knownHeadBytesMax: 2 * 1024 };
const knownHeadFieldsMax = 32;

export class KnownRequest extends KnownHead {
  readonly head: RequestHead;
  /** What a backend got last. */
  readonly template = new HeadTemplate();
  /** How a request like this was answered last, if not by fields alone (HEAD). */
  answer: KnownAnswer | undefined = undefined;

  constructor(limits: HeadLimits) {
    super();
    this.head = new RequestHead(limits);
  }

  override read(): boolean {
    const { head, bytes, length } = this;
    this.template.clear();
    this.answer = undefined;
    return head.parse(bytes, 0, length) === length;
  }
}

/** Of a final answer to a request that is not HEAD: a body may follow. */
export class KnownAnswer extends KnownHead {
  readonly head: ResponseHead;
  /** What a client got last. */
  readonly template = new HeadTemplate();

  constructor(limits: HeadLimits) {
    super();
    this.head = new ResponseHead(limits);
  }

  override read(): boolean {
    const { head, bytes, length } = this;
    this.template.clear();
    return head.parse(bytes, 0, length, Method.Get) === length && head.status >= 200;
  }
}

/** Reads the heads of all requests of a worker, one after the other. */
export class RequestHeads {
  /** What is known of the request that was read last. */
  known: KnownRequest | undefined = undefined;
  /** Its head, until the next one is read: `fresh`, or that of a known request. */
  current: RequestHead;
  /** Where its octets are: what was received, or the known request's own. */
  bytes: Uint8Array = new Uint8Array(0);
  /** What heads are parsed into that are not known. */
  readonly fresh: RequestHead;
  readonly #memory: HeadMemory<KnownRequest>;

  /** @param memory Smaller in tests. */
  constructor(limits: HeadLimits, memory: HeadMemoryLimits = bounds) {
    this.fresh = new RequestHead(limits);
    this.current = this.fresh;
    const own = { ...limits, headFieldsMax: knownHeadFieldsMax };
    this.#memory = new HeadMemory(memory, () => new KnownRequest(own));
  }

  /**
   * As RequestHead.parse; below 0, `fresh` says why.
   *
   * @param last What was `known` of the last request of the connection: the next one is likely to be the same.
   */
  read(last: KnownRequest | undefined, bytes: Uint8Array, start: number, end: number): number {
    if (last !== undefined && this.#memory.isAt(last, bytes, start, end)) {
      this.#take(last);
      return start + last.length;
    }
    const head = this.fresh;
    const next = head.parse(bytes, start, end);
    if (next <= 0) return next;
    // A target with scheme and host was reduced in place: these octets are not what came any more.
    const known = head.hostFieldReplaced ? undefined : this.#memory.learn(bytes, start, next);
    if (known === undefined) {
      this.known = undefined;
      this.current = head;
      this.bytes = bytes;
    } else this.#take(known);
    return next;
  }

  #take(known: KnownRequest): void {
    this.known = known;
    this.current = known.head;
    this.bytes = known.bytes;
  }
}

export function knownAnswers(
  limits: HeadLimits,
  memory: HeadMemoryLimits = bounds,
): HeadMemory<KnownAnswer> {
  const own = { ...limits, headFieldsMax: knownHeadFieldsMax };
  return new HeadMemory(memory, () => new KnownAnswer(own));
}
