// Rows to a text table: columns as wide as their widest cell, two spaces between, no lines.

import type { Terminal } from "./terminal.ts";

/** Prints a head and its rows; with no rows nothing but the head. */
export function printTable(
  terminal: Terminal,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  const shown = rows.map((row) => row.map(printable));
  const widths = head.map((title, column) =>
    shown.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), title.length),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  terminal.print(terminal.style("bold", line(head)));
  for (const row of shown) terminal.print(line(row));
}

/** What other people wrote may not move the cursor: control characters become visible. An empty cell is "-". */
export function printable(text: string): string {
  if (text === "") return "-";
  return text.replace(
    /\p{Cc}/gu,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
