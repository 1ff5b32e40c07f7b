// What a worker remembers of heads that came before, beside what they say: the host as routes are looked up by it, and
// the heads that were written for them.
//
// Everything that depends on the time, on chance, on the load or on the table is asked anew for each request.

import { HeadMemory, KnownHead } from "../protocol/head-memory.ts";
import { Method } from "../protocol/method.ts";
import { type HeadLimits, RequestHead } from "../protocol/request-head.ts";
import { ResponseHead } from "../protocol/response-head.ts";
import { hostOf } from "../routing/host.ts";
import { HeadTemplate } from "./head-template.ts";

/** Bounds of what is remembered; see limits.ts. */
export interface KnownHeadLimits extends HeadLimits {
  readonly headsKnownMax: number;
  readonly knownHeadBytesMax: number;
  readonly knownHeadFieldsMax: number;
}

export class KnownRequest extends KnownHead {
  readonly head: RequestHead;
  host = "";
  /** What a backend got last. */
  readonly template = new HeadTemplate();
  /** How this request was answered last. */
  answer: KnownAnswer | undefined = undefined;

  constructor(limits: HeadLimits) {
    super();
    this.head = new RequestHead(limits);
  }

  override read(): boolean {
    const { head, bytes, length } = this;
    this.template.clear();
    this.answer = undefined;
    // A target with scheme and host is reduced in place: these octets would not be what came any more.
    if (head.parse(bytes, 0, length) !== length || head.hostFieldReplaced) return false;
    this.host = hostOf(bytes, head.hostStart, head.hostEnd);
    return true;
  }
}

/** Of a final answer to a request whose answer may have a body. */
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

export function knownRequests(limits: KnownHeadLimits): HeadMemory<KnownRequest> {
  const own = { ...limits, headFieldsMax: limits.knownHeadFieldsMax };
  return new HeadMemory(limits, () => new KnownRequest(own));
}

export function knownAnswers(limits: KnownHeadLimits): HeadMemory<KnownAnswer> {
  const own = { ...limits, headFieldsMax: limits.knownHeadFieldsMax };
  return new HeadMemory(limits, () => new KnownAnswer(own));
}
