// Costs side by side: what each row gets done per CPU-second as a multiple of what a rival gets done. Above 1 is
// cheaper than the rival. Of Node's peers the cheapest counts.

import type { RunningProxy } from "./proxy.ts";
import type { ResultRow } from "./results.ts";

/** `rows[i]` is of `proxies[i]`; `cost` names the column that is compared. */
export function withRatios(
  rows: readonly ResultRow[],
  proxies: readonly Pick<RunningProxy, "name" | "side">[],
  cost: string,
): ResultRow[] {
  const costOf = (row: ResultRow | undefined): number => row?.figures[cost] ?? Number.NaN;
  const rivals = proxies.flatMap(({ name, side }, index) =>
    side === "rival" ? [[name, costOf(rows[index])] as const] : [],
  );
  const peers = proxies.flatMap(({ side }, index) =>
    side === "peer" ? [costOf(rows[index])] : [],
  );
  const all =
    peers.length === 0 ? rivals : [...rivals, ["best Node peer", Math.min(...peers)] as const];
  return rows.map((row) => {
    const ratios = all.map(([name, theirs]) => [`× ${name}`, theirs / costOf(row)] as const);
    return { ...row, figures: { ...row.figures, ...Object.fromEntries(ratios) } };
  });
}
