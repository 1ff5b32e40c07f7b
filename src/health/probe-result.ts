// What one probe found, in words that people read, and what every probe offers to whoever started it.

import type { CloseReason } from "../io/stream.ts";

/** What one probe found. */
export interface ProbeResult {
  readonly healthy: boolean;
  /** "HTTP 200", "connect refused", "no answer within 1 s". */
  readonly said: string;
  /** Nobody was asked, for want of something of our own: it says nothing of the backend. */
  readonly unasked?: true;
}

/** A probe under way; it tells its result once, never from inside the call that starts it. */
export interface Asked {
  /** Ends it at once, its connection reset; it tells nothing any more. Answers what it makes of what came until then. */
  giveUp(timeoutMs: number): ProbeResult;
}

export type TellResult = (result: ProbeResult) => void;

export function healthy(said: string): ProbeResult {
  return { healthy: true, said };
}

export function failed(said: string): ProbeResult {
  return { healthy: false, said };
}

/** "no answer within 1 s". */
export function late(missing: string, timeoutMs: number): ProbeResult {
  const time = timeoutMs % 1_000 === 0 ? `${timeoutMs / 1_000} s` : `${timeoutMs} ms`;
  return failed(`${missing} within ${time}`);
}

/** Of a connection that did not come about. @param message Of the adapter: "connect: EHOSTUNREACH". */
export function notConnected(reason: CloseReason, message: string): ProbeResult {
  if (reason === "refused") return failed("connect refused");
  const said = message.startsWith("connect") ? message.replace(": ", " ") : `connect: ${message}`;
  return reason === "exhausted" ? { healthy: false, said, unasked: true } : failed(said);
}
