// What the adapters share about accepting: how much at once, and what an error means.

import { errnoName } from "./ffi.ts";

/** Connections accepted in one go before others get a turn. */
export const acceptsPerTurnMax = 64;
/** How long accepting rests when there are no descriptors left: else it would spin (accept(2), EMFILE). */
export const acceptRestMs = 100;

/** Errno 11 on every Linux. */
const EAGAIN = 11;

/** What the answer of `acceptOne` means when it is below 0. */
export const Refused = {
  /** Nobody waits. */
  Empty: 0,
  /** Somebody left before their turn came, or a signal: the next one may be fine. */
  Next: 1,
  /** No descriptors or no memory: accepting rests. */
  Short: 2,
} as const;

export function refusedBy(errno: number): number {
  if (errno === -EAGAIN) return Refused.Empty;
  const code = errnoName(errno);
  return code === "ECONNABORTED" || code === "EINTR" || code === "EPROTO"
    ? Refused.Next
    : Refused.Short;
}

/** For people: the cause and what to do. */
export function acceptTrouble(port: number, code: string): string {
  const fullBy =
    code === "EMFILE" || code === "ENFILE"
      ? ": no descriptors are left, so clients wait: allow more (ulimit -n), or fewer connections (--limit)"
      : "";
  return `cannot accept on port ${port} (${code})${fullBy}`;
}
