// What a session sends upstream for one request, without sockets: the parser, the head's writer and the body's relay,
// joined as http-session.ts joins them. The octets of the request may come in pieces.

import * as limits from "../../src/limits.ts";
import { RequestHead } from "../../src/protocol/request-head.ts";
import { BodyRelay, flush } from "../../src/worker/body-relay.ts";
import { ByteWriter } from "../../src/worker/byte-writer.ts";
import { RequestIds } from "../../src/worker/request-ids.ts";
import { describeDownstream, writeRequestHead } from "../../src/worker/request-writer.ts";
import { RecordingStream } from "./recording-stream.ts";

export interface Forwarded {
  /** What the backend got. */
  readonly text: string;
  /** The head was accepted, and the body is complete. */
  readonly whole: boolean;
  /** Where the request ended in what arrived. */
  readonly used: number;
  /** "" or why it was refused. */
  readonly error: string;
}

const head = new RequestHead(limits);
const downstream = describeDownstream(new RecordingStream(), false);

export function forwardInMemory(text: string, cuts: readonly number[] = [text.length]): Forwarded {
  const bytes = Buffer.from(text, "latin1");
  const stream = new RecordingStream();
  const writer = new ByteWriter(64);
  const body = new BodyRelay();
  let at = 0;
  let begun = false;
  for (const end of cuts) {
    if (!begun) {
      const next = head.parse(bytes, at, end);
      if (next < 0) return { text: "", whole: false, used: at, error: head.error };
      if (next === 0) continue;
      begun = true;
      at = next;
      const requestIds = new RequestIds();
      const context = { writer, requestIds, wallMs: () => 1_790_000_000_123, via: undefined };
      writeRequestHead(context, bytes, head, downstream, "10.0.0.1:80");
      body.begin(head.framing, head.contentLength, head.framing);
    }
    at = body.feed(bytes, at, end, writer, stream);
    if (body.error !== "") return { text: stream.text, whole: false, used: at, error: body.error };
    flush(writer, stream);
    if (body.done) break;
  }
  return { text: stream.text, whole: begun && body.done, used: at, error: "" };
}
