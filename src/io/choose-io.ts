// Which adapter carries the connections: the one that is wished for, or the best that this machine has.
//
// Knows: what each adapter needs of the machine. Does not know: settings, logs, who asks.

import { eventLoopFd, ffiUnavailableReason } from "./ffi.ts";
import { uringMissing } from "./uring/probe.ts";

/** From the best to the one that is everywhere. */
export const ioNames = ["uring", "epoll", "net"] as const;
export type IoName = (typeof ioNames)[number];

export type IoChoice =
  /** `instead` says why it is none of those that are better; "" when there is none. */
  | { readonly kind: "chosen"; readonly io: IoName; readonly instead: string }
  | { readonly kind: "missing"; readonly reason: string };

/** Why an adapter cannot be used here; undefined: it can. */
export type Missing = (io: IoName) => string | undefined;

/** Asks the machine, by trying. Do it once, before there are workers. */
export function chooseIo(wanted: IoName | "auto", missing: Missing = missingHere): IoChoice {
  if (wanted !== "auto") {
    const reason = missing(wanted);
    return reason === undefined
      ? { kind: "chosen", io: wanted, instead: "" }
      : { kind: "missing", reason };
  }
  const reasons: string[] = [];
  for (const io of ioNames) {
    const reason = missing(io);
    if (reason === undefined) return { kind: "chosen", io, instead: reasons.join("; ") };
    reasons.push(`no ${io}: ${reason}`);
  }
  return { kind: "missing", reason: reasons.join("; ") };
}

/** Node's own sockets are everywhere. */
function missingHere(io: IoName): string | undefined {
  if (io === "net") return undefined;
  return io === "uring" ? uringMissing() : epollMissing();
}

/** Every Linux has epoll; the calls may be out of reach, or the event loop's descriptor. */
function epollMissing(): string | undefined {
  const reason = ffiUnavailableReason();
  if (reason !== undefined) return reason;
  try {
    eventLoopFd();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
