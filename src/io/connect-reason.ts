// Why a connection did not come about, by the name of its errno: because of the peer, or because of us.

import type { CloseReason } from "./stream.ts";

/**
 * What this machine or process has run out of: descriptors, ports to connect from (connect(2): EADDRNOTAVAIL, EAGAIN),
 * memory, room for watches (epoll_ctl(2): ENOSPC).
 */
const ownShortages: ReadonlySet<string> = new Set([
  "EMFILE",
  "ENFILE",
  "EADDRNOTAVAIL",
  "EAGAIN",
  "ENOBUFS",
  "ENOMEM",
  "ENOSPC",
]);

/** @param code "ECONNREFUSED"; undefined: another cause than a system call. */
export function connectReason(code: string | undefined): CloseReason {
  if (code === "ECONNREFUSED") return "refused";
  return code !== undefined && ownShortages.has(code) ? "exhausted" : "unreachable";
}
