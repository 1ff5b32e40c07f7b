// What of a request may be sent a second time, and what of an answer leaves its connection in order: questions of heads
// alone.

import { Framing } from "../protocol/framing.ts";
import type { RequestHead } from "../protocol/request-head.ts";
import type { ResponseHead } from "../protocol/response-head.ts";

/** Whether a request may be sent twice, and what was sent of it can be kept until it is answered. */
export function isReplayable(head: RequestHead, replayBodyBytesMax: number): boolean {
  if (!head.isIdempotent || head.upgrade) return false;
  if (head.framing === Framing.None) return true;
  return head.framing === Framing.Length && head.contentLength <= replayBodyBytesMax;
}

/** Whether an answer came whole with its head, of which `bytesBehind` came. */
export function isWhole(head: ResponseHead, bytesBehind: number): boolean {
  const bodyBytes = head.framing === Framing.None ? 0 : head.contentLength;
  return head.framing !== Framing.Chunked && bodyBytes === bytesBehind;
}
