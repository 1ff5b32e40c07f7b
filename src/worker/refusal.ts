// The answer to what is no request, or none in time: no route was asked, no backend heard of it. It is counted and
// logged as a request all the same.

import type { Stream } from "../io/stream.ts";
import { flush } from "./body-relay.ts";
import type { WorkerContext } from "./context.ts";
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
  });
  record.bytesOut = writer.length;
  flush(writer, stream);
  record.end(clientAddress);
}
