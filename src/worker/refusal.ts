// The answer to what is no request, or none in time: no route was asked, no backend heard of it. It is counted and
// logged as a request all the same.

import type { Stream } from "../io/stream.ts";
import { Counter } from "../telemetry/counters.ts";
import { flush } from "./body-relay.ts";
import type { WorkerContext } from "./context.ts";
import { dateLineAt } from "./date-line.ts";
import { tellMalformed } from "./limited.ts";
import { type Reason, writeLocalAnswer } from "./local-answer.ts";
import { pageFor } from "./own-answer.ts";
import { RequestRecord } from "./request-record.ts";

export interface Refusal {
  readonly status: number;
  readonly reason: Reason;
  /** Which rule was broken; "" for none. */
  readonly detail: string;
}

const noBytes = new Uint8Array(0);

/** For a head that cannot be read; 405 is one that can, of a method that goes nowhere (request-line.ts). */
export function refuseMalformed(
  context: WorkerContext,
  stream: Stream,
  clientAddress: string,
  status: number,
  error: string,
): void {
  const { counters } = context;
  if (status === 405) {
    return refuse(context, stream, clientAddress, { status, reason: "method-refused", detail: "" });
  }
  counters[Counter.malformedRequests]! += 1;
  const detail = tellMalformed(counters, error);
  refuse(context, stream, clientAddress, { status, reason: "request-malformed", detail });
}

/** Answers, and says that the connection ends: that it does is the caller's part. */
export function refuse(
  context: WorkerContext,
  stream: Stream,
  clientAddress: string,
  { status, reason, detail }: Refusal,
): void {
  const { writer } = context;
  const record = new RequestRecord(context);
  record.begin(noBytes, undefined);
  record.status = status;
  record.reason = detail === "" ? reason : `${reason}: ${detail}`;
  writer.length = 0;
  writeLocalAnswer(writer, {
    status,
    reason,
    detail,
    close: true,
    headOnly: false,
    json: false,
    sayKeepAlive: false,
    page: pageFor(status, undefined, context.pages),
    dateLine: dateLineAt(context.wallMs()),
  });
  record.bytesOut = writer.length;
  flush(writer, stream);
  record.end(clientAddress);
}
