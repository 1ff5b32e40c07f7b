// Does something again and again until the user ends it: Ctrl-C ends a program that watches, and says so.

import { holdProcess, type System, sleep } from "../system.ts";

/** Of the shell: 128 and the signal's number (signal(7)). */
const statusOf = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
type Ending = keyof typeof statusOf;
const endings: readonly Ending[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** Where signals come from; `process`. */
export interface SignalSource {
  once(signal: Ending, action: () => void): unknown;
  off(signal: Ending, action: () => void): unknown;
}

/**
 * Works at once and then every `intervalMs`, from one beginning to the next; what takes longer is followed at once by the
 * next. Answers the exit status that says which signal ended it; rejects as the work does.
 */
export async function everyUntilSignal(
  { system, signals }: { readonly system: System; readonly signals: SignalSource },
  intervalMs: number,
  work: () => Promise<void>,
): Promise<number> {
  const ended = new AbortController();
  let status = 0;
  const release = holdProcess();
  const listeners = endings.map((signal) => {
    const end = (): void => {
      status = statusOf[signal];
      ended.abort();
    };
    signals.once(signal, end);
    return () => void signals.off(signal, end);
  });
  const aborted = new Promise<void>((resolve) => {
    ended.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  try {
    while (!ended.signal.aborted) {
      const dueMs = system.monotonicMs() + intervalMs;
      // An answer that is still to come is not waited for.
      await Promise.race([work(), aborted]);
      await sleep(system, Math.max(0, dueMs - system.monotonicMs()), ended.signal);
    }
    return status;
  } finally {
    for (const deafen of listeners) deafen();
    release();
  }
}
