// crosspoint backend list

import { parseDuration } from "../../config-values.ts";
import { ListBackendsResponse } from "../../gen/crosspoint/v1/router.ts";
import { RouterError } from "../../model/errors.ts";
import { realSystem } from "../../system.ts";
import { backendTable } from "../backend-table.ts";
import { type NodeClient, withNode } from "../client.ts";
import { type Command, type Flags, isOn, textOf } from "../command.ts";
import { everyUntilSignal } from "../every.ts";
import { ExitStatus, usageError } from "../failure.ts";
import { messageToJson } from "../proto-json.ts";
import { Repaint } from "../repaint.ts";
import { printJson } from "../show.ts";
import { cut, printable, printTable, tableLines } from "../table.ts";
import type { Terminal } from "../terminal.ts";

/** How often it looks when nobody says. */
const intervalDefault = "1s";
/** More often nobody reads it, and each look asks every worker. */
const intervalMsMin = 100;

export const backendList: Command = {
  path: ["backend", "list"],
  summary: "backends with what this node knows of them, and where they come from",
  arguments: [
    { name: "SERVICE", help: "only of this service", optional: true, complete: "service" },
  ],
  flags: [
    { name: "wide", help: "all columns" },
    { name: "watch", help: "again and again, until Ctrl-C; with --json a line for each" },
    {
      name: "interval",
      value: "DURATION",
      help: `with --watch: how often (default: ${intervalDefault})`,
    },
  ],
  client: true,
  examples: ["crosspoint backend list web --watch", "crosspoint backend list --watch --json | jq"],
  run: ({ args, flags, env, terminal }) => {
    const intervalMs = intervalOf(flags);
    return withNode({ flags, env }, (node) => {
      const shown = new Shown(terminal, flags, args[0] ?? "");
      if (intervalMs === undefined) return shown.once(node);
      return shown.watch(node, intervalMs);
    });
  },
};

/** undefined: look once. */
function intervalOf(flags: Flags): number | undefined {
  const given = textOf(flags, "interval");
  if (!isOn(flags, "watch")) {
    if (given !== undefined) throw usageError("--interval: only together with --watch");
    return undefined;
  }
  const intervalMs = parseDuration(given ?? intervalDefault, "--interval");
  if (intervalMs < intervalMsMin) throw usageError("--interval: must be at least 100ms");
  return intervalMs;
}

class Shown {
  readonly #terminal: Terminal;
  readonly #service: string;
  readonly #wide: boolean;
  readonly #json: boolean;
  #list: ListBackendsResponse | undefined;
  #times = 0;

  constructor(terminal: Terminal, flags: Flags, service: string) {
    this.#terminal = terminal;
    this.#service = service;
    this.#wide = isOn(flags, "wide");
    this.#json = isOn(flags, "json");
  }

  async once(node: NodeClient): Promise<number> {
    const list = await node.backends(this.#service);
    if (this.#json) printJson(this.#terminal, "ListBackendsResponse", ListBackendsResponse, list);
    else this.#printTable(list);
    return ExitStatus.Done;
  }

  async watch(node: NodeClient, intervalMs: number): Promise<number> {
    const { screen } = this.#terminal;
    const paper = screen === undefined || this.#json ? undefined : new Repaint(screen);
    // However the process ends, the terminal is as it was.
    const close = (): void => paper?.close();
    process.once("exit", close);
    try {
      return await everyUntilSignal({ system: realSystem, signals: process }, intervalMs, () =>
        this.#look(node, paper),
      );
    } finally {
      process.off("exit", close);
      close();
    }
  }

  /** A node that is away after it has answered may come back. */
  async #look(node: NodeClient, paper: Repaint | undefined): Promise<void> {
    let trouble = "";
    try {
      this.#list = await node.backends(this.#service);
    } catch (reason) {
      if (this.#list === undefined || !mayPass(reason)) throw reason;
      trouble = RouterError.from(reason).message;
    }
    const list = this.#list;
    if (paper !== undefined) paper.show((columns) => this.#lines(list, trouble, columns));
    else if (trouble !== "") this.#terminal.note(`crosspoint: ${printable(trouble)}`);
    else this.#printAgain(list);
  }

  #lines(list: ListBackendsResponse, trouble: string, columns: number): string[] {
    const { head, rows } = this.#table(list);
    const lines = tableLines(this.#terminal, head, rows, columns);
    if (trouble === "") return lines;
    return [this.#terminal.style("red", cut(printable(trouble), columns)), ...lines];
  }

  #printAgain(list: ListBackendsResponse): void {
    const isFirst = this.#times++ === 0;
    if (this.#json) {
      const json = messageToJson("ListBackendsResponse", ListBackendsResponse, list);
      return this.#terminal.print(JSON.stringify(json));
    }
    if (!isFirst) this.#terminal.print("");
    this.#printTable(list);
  }

  #printTable(list: ListBackendsResponse): void {
    const { head, rows } = this.#table(list);
    printTable(this.#terminal, head, rows);
  }

  #table({ backends }: ListBackendsResponse): ReturnType<typeof backendTable> {
    return backendTable(backends, this.#wide, realSystem.wallMs());
  }
}

function mayPass(reason: unknown): boolean {
  const { code } = RouterError.from(reason);
  return code === "unavailable" || code === "deadline";
}
