// What a worker remembers of heads that came before, beside what they say: the host as routes are looked up by it, how
// the request was answered last, and the heads that were written for them.
//
// Everything that depends on the time, on chance, on the load or on the table is asked anew for each request.

import { HeadMemory, type HeadMemoryLimits, KnownHead } from "../protocol/head-memory.ts";
import { Method } from "../protocol/method.ts";
import { type HeadLimits, RequestHead } from "../protocol/request-head.ts";
import { ResponseHead } from "../protocol/response-head.ts";
import { hostAfter, hostOf } from "../routing/host.ts";
import { HeadTemplate } from "./head-template.ts";

/**
 * Of requests and of answers each: 2 MiB a worker when they are as large as may be. A browser's head with a few cookies
 * is remembered, and has some 15 fields.
 */
const bounds: HeadMemoryLimits = { headsKnownMax: 256, knownHeadBytesMax: 2 * 1024 };
const knownHeadFieldsMax = 32;

export class KnownRequest extends KnownHead {
  readonly head: RequestHead;
  host = "";
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
    if (head.parse(bytes, 0, length) !== length) return false;
    this.host = hostOf(bytes, head.hostStart, head.hostEnd);
    return true;
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

/** What a connection knows of its last request: the next one is likely to be the same. */
export class LastRequest {
  known: KnownRequest | undefined = undefined;
  host = "";
}

/** Reads the heads of all requests of a worker, one after the other. */
export class RequestHeads {
  /** Of the request that was read last, until the next one is: `fresh`, or that of a known request. */
  current: RequestHead;
  /** Where its octets are: what was received, or the known request's own. */
  bytes: Uint8Array = new Uint8Array(0);
  /** What heads are parsed into that are not known. */
  readonly fresh: RequestHead;
  readonly #memory: HeadMemory<KnownRequest>;

  constructor(limits: HeadLimits) {
    this.fresh = new RequestHead(limits);
    this.current = this.fresh;
    const own = { ...limits, headFieldsMax: knownHeadFieldsMax };
    this.#memory = new HeadMemory(bounds, () => new KnownRequest(own));
  }

  /** As RequestHead.parse; below 0, `fresh` says why. `last` is that of the connection, and is kept up. */
  read(last: LastRequest, bytes: Uint8Array, start: number, end: number): number {
    const { known } = last;
    if (known !== undefined && this.#memory.isAt(known, bytes, start, end)) {
      this.#take(known);
      return start + known.length;
    }
    const head = this.fresh;
    const next = head.parse(bytes, start, end);
    if (next <= 0) return next;
    // A target with scheme and host was reduced in place: these octets are not what came any more.
    last.known = head.hostFieldReplaced ? undefined : this.#memory.learn(bytes, start, next);
    if (last.known === undefined) {
      this.current = head;
      this.bytes = bytes;
      last.host = hostAfter(last.host, bytes, head.hostStart, head.hostEnd);
    } else {
      this.#take(last.known);
      last.host = last.known.host;
    }
    return next;
  }

  #take(known: KnownRequest): void {
    this.current = known.head;
    this.bytes = known.bytes;
  }
}

export function knownAnswers(limits: HeadLimits): HeadMemory<KnownAnswer> {
  const own = { ...limits, headFieldsMax: knownHeadFieldsMax };
  return new HeadMemory(bounds, () => new KnownAnswer(own));
}
