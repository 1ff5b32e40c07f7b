// Where the command writes: data on standard output, everything else on standard error. Colour only on
// a terminal and never with NO_COLOR.

import { styleText } from "node:util";

/** The styles that the command uses. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow";

/** One stream of the process, as far as it is needed here. */
export interface TextStream {
  readonly isTTY?: boolean;
  write(text: string): unknown;
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
  };
}
