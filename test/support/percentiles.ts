// Latencies in one line: "p50 1.2, p99 4.5 ms".

/** The value that `share` (0 to 1) of the values do not exceed; NaN of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export function percentilesText(values: readonly number[]): string {
  const digits = percentile(values, 0.5) < 10 ? 2 : 0;
  const [p50, p99] = [0.5, 0.99].map((share) => percentile(values, share).toFixed(digits));
  return `p50 ${p50}, p99 ${p99} ms`;
}
