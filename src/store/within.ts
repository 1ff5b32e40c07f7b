// Work that ends when its time is over, or the store closes.

import type { System } from "../system.ts";

export interface Bounds {
  readonly system: System;
  /** Aborts when the store closes. */
  readonly closing: AbortSignal;
}

/** Does `work` with a signal that aborts after `ms`, or when the store closes. */
export async function within<T>(
  { system, closing }: Bounds,
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const end = (): void => over.abort();
  if (closing.aborted) end();
  closing.addEventListener("abort", end);
  const cancel = system.after(ms, end);
  try {
    return await work(over.signal);
  } finally {
    cancel();
    closing.removeEventListener("abort", end);
  }
}
