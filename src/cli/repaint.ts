// Lines that replace each other on a terminal: on its second screen, so that what stood there before is there again
// afterwards. Knows the control sequences of xterm and its kin (ECMA-48, and DEC's private modes); not what is shown.

import { cut } from "./table.ts";
import type { Screen } from "./terminal.ts";

const enter = "\u001b[?1049h\u001b[?25l"; // the second screen; no cursor
const leave = "\u001b[?25h\u001b[?1049l";
const home = "\u001b[H";
const clearLine = "\u001b[K";
const clearBelow = "\u001b[J";

export class Repaint {
  readonly #screen: Screen;
  readonly #deaf: () => void;
  #linesOf: (columns: number) => readonly string[] = () => [];
  #open = true;

  constructor(screen: Screen) {
    this.#screen = screen;
    screen.write(enter);
    this.#deaf = screen.onResize(() => this.#paint());
  }

  /** @param linesOf Of a width; asked again when the terminal has another one. What is too high is cut, and said. */
  show(linesOf: (columns: number) => readonly string[]): void {
    this.#linesOf = linesOf;
    this.#paint();
  }

  /** May be called twice. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#deaf();
    this.#screen.write(leave);
  }

  #paint(): void {
    const { columns, rows } = this.#screen.size();
    const lines = this.#linesOf(columns);
    const hidden = lines.length - rows;
    const shown =
      hidden <= 0 ? lines : [...lines.slice(0, rows - 1), cut(`… and ${hidden + 1} more`, columns)];
    // In one piece, each line over the old one: nothing flickers.
    this.#screen.write(home + shown.map((line) => line + clearLine).join("\r\n") + clearBelow);
  }
}
