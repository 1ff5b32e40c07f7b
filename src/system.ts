// The real clock, randomness and signals: the only file that calls Date.now, Math.random and setTimeout.

/** What the outside world gives to code that must be testable without it. */
export interface System {
  /** ms since the epoch; may jump. For people and for records, never for durations. */
  wallMs(): number;
  /** ms on a clock that never goes backwards. */
  monotonicMs(): number;
  /** 0 <= x < 1. */
  random(): number;
  /** Runs `action` once after `delayMs`; the answer cancels it. Does not keep the process alive. */
  after(delayMs: number, action: () => void): () => void;
  /** Runs `action` every `periodMs`; the answer ends it. Does not keep the process alive. */
  every(periodMs: number, action: () => void): () => void;
}

export const realSystem: System = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  random: () => Math.random(),
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
  every(periodMs, action) {
    const timer = setInterval(action, periodMs);
    timer.unref();
    return () => clearInterval(timer);
  },
};

/** Resolves after `delayMs`, or at once when `signal` aborts. */
export function sleep(system: System, delayMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const cancel = system.after(delayMs, finish);
    function finish(): void {
      cancel();
      signal?.removeEventListener("abort", finish);
      resolve();
    }
    signal?.addEventListener("abort", finish, { once: true });
  });
}
