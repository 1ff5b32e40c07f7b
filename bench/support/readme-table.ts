// Results as Markdown tables, and README.md with its tables written anew between their markers:
//
//   <!-- bench:small-requests -->
//   (table)
//   <!-- /bench -->
//
// `node bench/support/readme-table.ts` rewrites README.md; test/tidy.test.ts fails when somebody forgot.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { figureText, type Result, readResult } from "./results.ts";

const block = /(<!-- bench:([a-z0-9-]+) -->\n)[^]*?(<!-- \/bench -->)/g;

/** `markdown` with every marked table as the results say. Throws when a result is missing or was a quick run. */
export function writtenTables(markdown: string, resultsFolder: string): string {
  return markdown.replaceAll(block, (_, begin: string, name: string, end: string) => {
    const result = readResult(resultsFolder, name);
    if (result.quick)
      throw new Error(`bench/results/${name}.json is of a quick run: run it in full`);
    return `${begin}${resultTable(result)}${end}`;
  });
}

export function resultTable(result: Result): string {
  const all = [...new Set(result.rows.flatMap((row) => Object.keys(row.figures)))];
  const chosen = result.columns?.filter((column) => all.includes(column));
  const columns =
    chosen === undefined ? all : [...chosen, ...all.filter((column) => column.startsWith("× "))];
  const lines = [
    `| | ${columns.join(" | ")} |`,
    `|---|${columns.map(() => "---:|").join("")}`,
    ...result.rows.map((row) => {
      const cells = columns.map((column) => figureText(row.figures[column] ?? Number.NaN));
      return `| ${row.name} | ${cells.join(" | ")} |`;
    }),
  ];
  const versions = Object.entries(result.versions).map(([name, version]) => `${name} ${version}`);
  const source = [result.machine, result.date, ...versions].join(", ");
  return `${lines.join("\n")}\n\n${result.method} (${source})\n`;
}

if (import.meta.main) {
  const root = join(import.meta.dirname, "../..");
  const path = join(root, "README.md");
  writeFileSync(path, writtenTables(readFileSync(path, "utf8"), join(root, "bench/results")));
}
