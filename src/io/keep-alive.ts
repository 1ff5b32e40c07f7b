// How the kernel asks a silent peer whether it is there: after which idle time, how often, how many times.

/** As setsockopt(2) takes them: whole seconds. */
export interface KeepAliveTimes {
  readonly idleS: number;
  readonly intervalS: number;
  /** In a row without an answer: then the connection is broken. */
  readonly probes: number;
}

/**
 * Between two questions, at most. Linux waits 75 s (tcp_keepalive_intvl) and asks 9 times: more than eleven minutes on top of the
 * idle time. libuv's second and ten would end connections over a path that was away for as long as a switch needs to start.
 */
const intervalSMax = 10;
/** With ten seconds between them: who is gone is known a minute after the idle time. */
const probes = 6;

/** @param idleMs Rounded up to whole seconds, one at least. Who asks early asks in short intervals as well. */
export function keepAliveTimes(idleMs: number): KeepAliveTimes {
  const idleS = Math.max(1, Math.ceil(idleMs / 1000));
  return { idleS, intervalS: Math.min(idleS, intervalSMax), probes };
}
