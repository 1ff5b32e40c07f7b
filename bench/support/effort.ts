// How long and how often is measured, and how figures look while it goes on.

import type { Figures } from "./results.ts";

export interface Effort {
  readonly rounds: number;
  /** Of each round, whole. */
  readonly seconds: number;
  /** Before the first round of each variant; 0: none. */
  readonly warmUpSeconds: number;
  /** Too short to be quoted. */
  readonly quick: boolean;
  /** Only these contenders; empty: all. */
  readonly proxies: readonly string[];
}

export const quickEffort = { rounds: 1, seconds: 1, warmUpSeconds: 0 } as const;
export const fullEffort = { rounds: 3, seconds: 3, warmUpSeconds: 1 } as const;

export function shown(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => `${Number(value.toPrecision(4))} ${name}`)
    .join(", ");
}
