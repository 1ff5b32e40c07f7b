// What a command of the program is: words, arguments, flags, and what it does. Plain data, so that the
// parser, the completion and the documents read the same table.

import type { Terminal } from "./terminal.ts";

/** What stands for live names when a shell completes an argument. */
export type Completion = "route" | "service" | "file" | readonly string[];

export interface Argument {
  /** As in the usage line: "NAME". */
  readonly name: string;
  readonly help: string;
  readonly optional?: boolean;
  readonly complete?: Completion;
}

export interface Flag {
  /** Without the dashes: "dry-run". */
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /** What stands for the value in --help; undefined: a switch. */
  readonly value?: string | undefined;
  readonly help: string;
  readonly repeatable?: boolean;
  readonly required?: boolean;
  readonly choices?: readonly string[];
  readonly complete?: Completion;
  /** The heading in --help under which it stands; absent: "Options". */
  readonly group?: string;
}

/** The flags under one heading. */
export function grouped(group: string, flags: readonly Flag[]): readonly Flag[] {
  return flags.map((flag) => ({ ...flag, group }));
}

/** Flag to its text, its texts (repeatable), or true (a switch); as the command line gave them. */
export type Flags = Readonly<Record<string, string | readonly string[] | boolean | undefined>>;

/** What a command gets when it runs. */
export interface Invocation {
  /** In the order of `arguments`; one that is optional and was not given is undefined. */
  readonly args: readonly (string | undefined)[];
  readonly flags: Flags;
  readonly terminal: Terminal;
  readonly env: NodeJS.ProcessEnv;
}

export interface Command {
  /** ["route", "add"]. */
  readonly path: readonly string[];
  readonly summary: string;
  readonly arguments: readonly Argument[];
  readonly flags: readonly Flag[];
  /** A client of a node: takes --rpc, --json and --timeout as well. */
  readonly client: boolean;
  /** Words behind the command as an older program took them, as this one does; before they are parsed. */
  readonly today?: (words: readonly string[]) => readonly string[];
  /** Lines that follow the options in --help. */
  readonly examples?: readonly string[];
  /** Answers the exit status; throws Failure or RouterError. */
  run(invocation: Invocation): Promise<number>;
}

/** What every client command takes. */
export const clientFlags: readonly Flag[] = [
  {
    name: "rpc",
    value: "ADDR",
    help: "the node: HOST:PORT or unix:PATH (default: 127.0.0.1:7070)",
  },
  { name: "json", help: "proto3 JSON on standard output" },
  { name: "timeout", value: "DURATION", help: "how long to wait for an answer (default: 10s)" },
];

export function flagsOf(command: Command): readonly Flag[] {
  return command.client ? [...command.flags, ...clientFlags] : command.flags;
}

/** A flag's text; undefined when it was not given. */
export function textOf(flags: Flags, name: string): string | undefined {
  const given = flags[name];
  return typeof given === "string" ? given : undefined;
}

/** A repeatable flag's texts. */
export function textsOf(flags: Flags, name: string): readonly string[] {
  const given = flags[name];
  return typeof given === "object" ? given : [];
}

/** Whether a switch was given. */
export function isOn(flags: Flags, name: string): boolean {
  return flags[name] === true;
}
