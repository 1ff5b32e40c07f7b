// The real clock, randomness and signals: the only file that calls Date.now, Math.random and setTimeout.

/** What the outside world gives to code that must be testable without it. */
export interface System {
  /** ms since the epoch; may jump. For people and for records, never for durations. */
  wallMs(): number;
  /** ms on a clock that never goes backwards. */
  monotonicMs(): number;
  /** ms, and parts of one, on a clock that all threads of the process share: for heartbeats and rates. */
  heartbeatMs(): number;
  /** 0 <= x < 1. */
  random(): number;
  /** Runs `action` once after `delayMs`; the answer cancels it. Does not keep the process alive. */
  after(delayMs: number, action: () => void): () => void;
  /** Runs `action` once, when the events of this turn of the event loop have been handled. */
  atTurnEnd(action: () => void): void;
  /** Runs `action` every `periodMs`; the answer ends it. Does not keep the process alive. */
  every(periodMs: number, action: () => void): () => void;
}

export const realSystem: System = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  heartbeatMs: () => Number(process.hrtime.bigint()) / 1_000_000,
  random: () => Math.random(),
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
  atTurnEnd: (action) => void setImmediate(action),
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

/** Keeps the process alive until the answer is called: what waits without a socket has only timers that do not. */
export function holdProcess(): () => void {
  const timer = setInterval(() => {}, 2 ** 31 - 1);
  return () => clearInterval(timer);
}

/** Signals that end a process, as exit statuses expect them. */
export interface Signals {
  /** The first SIGTERM or SIGINT. */
  readonly asked: Promise<"SIGTERM" | "SIGINT">;
  /** A second one, at least `insistMs` after the first: the exit status to end with at once. */
  readonly insisted: Promise<number>;
  /** Says what SIGHUP does from now on; before, it does nothing. */
  onHangUp(action: () => void): void;
}

/** npm and terminals send the same signal twice within a millisecond: that is one wish, not two. */
const insistMs = 500;

/** Listens from now on; to be called before anything that takes long. */
export function signals(): Signals {
  const asked = Promise.withResolvers<"SIGTERM" | "SIGINT">();
  const insisted = Promise.withResolvers<number>();
  let firstMs: number | undefined;
  // A hang-up during the start must not end the process, as it would without a listener.
  let hangUp: (() => void) | undefined;
  process.on("SIGHUP", () => hangUp?.());
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      const nowMs = performance.now();
      firstMs ??= nowMs;
      if (nowMs - firstMs >= insistMs) insisted.resolve(signal === "SIGINT" ? 130 : 143);
      asked.resolve(signal);
    });
  }
  return {
    asked: asked.promise,
    insisted: insisted.promise,
    onHangUp: (action) => void (hangUp = action),
  };
}
