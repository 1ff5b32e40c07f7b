// What a question's answer looks like, on disk and in memory. Knows nothing of proxies or load.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** One figure per column: "requests/s" -> 61234. The unit is part of the column's name. */
export type Figures = Readonly<Record<string, number>>;

/** One line of a table: the median of its rounds, and the rounds themselves. */
export interface ResultRow {
  /** "HAProxy", "Crosspoint"; or what was varied: "100,000 routes". */
  readonly name: string;
  readonly figures: Figures;
  readonly rounds: readonly Figures[];
}

export interface Result {
  /** The question's file name without its ending. */
  readonly name: string;
  readonly question: string;
  /** How it was measured, for a reader who wants to repeat it. */
  readonly method: string;
  readonly machine: string;
  /** "HAProxy" -> "2.6.12". */
  readonly versions: Readonly<Record<string, string>>;
  /** Day of the run, 2026-11-21. */
  readonly date: string;
  /** Short runs show that the harness works; their figures are not for quoting. */
  readonly quick: boolean;
  /** Those that tables show, ratios aside; absent: all. */
  readonly columns?: readonly string[];
  readonly rows: readonly ResultRow[];
  /** What could not be compared, and why; and what failed before it was measured. */
  readonly skipped: readonly string[];
}

export function writeResult(folder: string, result: Result): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${result.name}.json`);
  writeFileSync(path, `${JSON.stringify(result, undefined, 2)}\n`);
  return path;
}

export function readResult(folder: string, name: string): Result {
  return JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8")) as Result;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The median of every column on its own. */
export function medianFigures(rounds: readonly Figures[]): Figures {
  const columns = Object.keys(rounds[0] ?? {});
  return Object.fromEntries(
    columns.map((column) => [column, median(rounds.map((round) => round[column] ?? Number.NaN))]),
  );
}

/** Three significant digits, thousands separated. */
export function figureText(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}
