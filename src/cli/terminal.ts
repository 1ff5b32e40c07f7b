// Where the command writes: data on standard output, everything else on standard error. Colour only on
// a terminal and never with NO_COLOR.

import { styleText } from "node:util";

/** The styles that the command uses. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow";

/** One stream of the process, as far as it is needed here. */
export interface TextStream {
  readonly isTTY?: boolean;
  /** Characters of a line, lines; of a terminal. */
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
  on?(event: "resize", action: () => void): unknown;
  off?(event: "resize", action: () => void): unknown;
}

/** A terminal whose cursor can be moved. */
export interface Screen {
  size(): { readonly columns: number; readonly rows: number };
  /** As it is, control sequences included. */
  write(text: string): void;
  /** Until the answer is called. */
  onResize(action: () => void): () => void;
}

export interface Terminal {
  /** Data: a line on standard output. */
  print(line: string): void;
  /** Everything else: a line on standard error. */
  note(line: string): void;
  /** For text that goes to standard output. */
  style(style: Style, text: string): string;
  /** For text that goes to standard error. */
  noteStyle(style: Style, text: string): string;
  /** Shows a line on standard error in the place of the last such line; "" takes it away. Absent: that is no terminal. */
  readonly progress?: (line: string) => void;
  /** Of standard output; absent: it is none, or a dumb one. */
  readonly screen?: Screen;
}

export function terminalOf(out: TextStream, err: TextStream, env: NodeJS.ProcessEnv): Terminal {
  const plain = (env["NO_COLOR"] ?? "") !== "" || env["TERM"] === "dumb";
  // Decided here and not by styleText, which lets FORCE_COLOR win over NO_COLOR.
  const styled = (stream: TextStream) => (style: Style, text: string) =>
    stream.isTTY === true && !plain ? styleText(style, text, { validateStream: false }) : text;
  return {
    print: (line) => void out.write(`${line}\n`),
    note: (line) => void err.write(`${line}\n`),
    style: styled(out),
    noteStyle: styled(err),
    ...(err.isTTY === true && env["TERM"] !== "dumb"
      ? { progress: (line: string) => void err.write(`\r\u001b[K${line}`) }
      : {}),
    ...(out.isTTY === true && env["TERM"] !== "dumb" ? { screen: screenOf(out) } : {}),
  };
}

/** What a terminal has that does not say. */
const sizeDefault = { columns: 80, rows: 24 };

function screenOf(out: TextStream): Screen {
  return {
    size: () => ({
      columns: out.columns ?? sizeDefault.columns,
      rows: out.rows ?? sizeDefault.rows,
    }),
    write: (text) => void out.write(text),
    onResize(action) {
      out.on?.("resize", action);
      return () => void out.off?.("resize", action);
    },
  };
}
