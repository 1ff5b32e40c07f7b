// Rows to a text table: columns as wide as their widest cell, two spaces between, no lines.

import type { Style, Terminal } from "./terminal.ts";

/** A text, and how it looks where there are colours. */
export type Cell = string | { readonly text: string; readonly style: Style };

/** Prints a head and its rows; with no rows nothing but the head. */
export function printTable(
  terminal: Terminal,
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
): void {
  for (const line of tableLines(terminal, head, rows)) terminal.print(line);
}

/** The same as lines, the head first; no line is longer than `widthMax` characters. */
export function tableLines(
  { style }: Pick<Terminal, "style">,
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
  widthMax = Number.POSITIVE_INFINITY,
): string[] {
  const shown = rows.map((row) => row.map((cell) => printable(textOf(cell))));
  const widths = head.map((title, column) =>
    shown.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), title.length),
  );
  const line = (texts: readonly string[], styled: (part: string, column: number) => string) => {
    let left = widthMax;
    let written = "";
    for (const [column, text] of texts.entries()) {
      const isLast = column === texts.length - 1;
      const part = cut(isLast ? text : `${text.padEnd(widths[column] ?? 0)}  `, left);
      // Spaces stay plain, whatever the cell looks like.
      const bare = part.trimEnd();
      written += styled(bare, column) + part.slice(bare.length);
      left -= part.length;
    }
    return written.trimEnd();
  };
  return [
    style(
      "bold",
      line(head, (part) => part),
    ),
    ...shown.map((texts, row) =>
      line(texts, (part, column) => {
        const cell = rows[row]?.[column];
        return typeof cell === "object" && part !== "" ? style(cell.style, part) : part;
      }),
    ),
  ];
}

const textOf = (cell: Cell): string => (typeof cell === "string" ? cell : cell.text);

/** What does not fit is told by its last character. */
export function cut(text: string, widthMax: number): string {
  if (text.trimEnd().length <= widthMax) return text.slice(0, widthMax);
  return widthMax < 1 ? "" : `${text.slice(0, widthMax - 1)}…`;
}

/** What other people wrote may not move the cursor: control characters become visible. An empty cell is "-". */
export function printable(text: string): string {
  if (text === "") return "-";
  return text.replace(
    /\p{Cc}/gu,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
