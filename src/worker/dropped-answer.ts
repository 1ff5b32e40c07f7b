// An answer that nobody gets: read only to find where it ends, and whether its connection is in order then.

import { Framing } from "../protocol/framing.ts";
import { HeadScanner } from "../protocol/head-end.ts";
import { BodyRelay, type Sink } from "./body-relay.ts";
import { ByteWriter } from "./byte-writer.ts";
import type { WorkerContext } from "./context.ts";

/** How far it has come; `Reusable`: it is whole, and the connection may carry another request. */
export const AnswerRead = { More: 0, Whole: 1, Reusable: 2, Broken: 3 } as const;

const nowhere: Sink = { write: () => true };
/** What is dropped goes through here. */
const scratch = new ByteWriter(16 * 1024);

export class DroppedAnswer {
  readonly #context: Pick<WorkerContext, "responseHead" | "limits">;
  readonly #method: number;
  readonly #body: BodyRelay;
  readonly #scanner: HeadScanner;
  /** The beginning of a head that has not arrived whole. */
  readonly #partial = new ByteWriter(0);
  /** Of its head; 0 before that has come. */
  status = 0;
  #begun = false;
  #keepAlive = false;
  #interims = 0;

  /** @param method Of the request; it decides whether a body follows. */
  constructor(context: Pick<WorkerContext, "responseHead" | "limits">, method: number) {
    this.#context = context;
    this.#method = method;
    this.#body = new BodyRelay(context.limits);
    this.#scanner = new HeadScanner(context.limits);
  }

  /** Reads on; answers an `AnswerRead`. */
  receive(bytes: Uint8Array, start: number, end: number): number {
    if (this.#begun) return this.#readBody(bytes, start, end);
    const partial = this.#partial;
    partial.range(bytes, start, end);
    while (partial.length > 0 && this.#scanner.scan(partial.bytes, 0, partial.length)) {
      const next = this.#readHead(partial.bytes, partial.length);
      if (next < 0) return AnswerRead.Broken;
      if (this.#begun) return this.#readBody(partial.bytes, next, partial.length);
      partial.bytes.copyWithin(0, next, partial.length);
      partial.length -= next;
    }
    return AnswerRead.More;
  }

  /** The backend sends no more: an answer without a length is whole. */
  end(): number {
    return this.#begun && this.#body.finish(scratch) ? AnswerRead.Whole : AnswerRead.Broken;
  }

  /** Where the head ended, or -1. */
  #readHead(bytes: Uint8Array, end: number): number {
    const { responseHead: head, limits } = this.#context;
    const next = head.parse(bytes, 0, end, this.#method);
    // No upgrade was asked for.
    if (next <= 0 || head.status === 101) return -1;
    if (head.status < 200) return ++this.#interims > limits.interimAnswersMax ? -1 : next;
    this.#begun = true;
    this.status = head.status;
    this.#keepAlive = head.keepAlive;
    this.#body.begin(head.framing, head.contentLength, Framing.Length);
    return next;
  }

  #readBody(bytes: Uint8Array, start: number, end: number): number {
    const stop = this.#body.feed(bytes, start, end, scratch, nowhere);
    scratch.length = 0;
    if (this.#body.error !== "") return AnswerRead.Broken;
    if (!this.#body.done) return AnswerRead.More;
    return this.#keepAlive && stop === end ? AnswerRead.Reusable : AnswerRead.Whole;
  }
}
