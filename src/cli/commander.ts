// The table of commands to a program: parses the words, prints help, runs the command that was meant.
//
// The only file that knows the package `commander`.

import { CommanderError, Option, Command as Program } from "commander";
import {
  type Argument,
  type Command,
  clientFlags,
  type Flag,
  type Flags,
  flagsOf,
} from "./command.ts";
import { ExitStatus, report } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/** What surrounds a run; tests and `npm start` bring their own. */
export interface Surroundings {
  readonly terminal: Terminal;
  readonly env: NodeJS.ProcessEnv;
  readonly version: string;
}

/** Runs what `argv` says (without node and script), and answers the exit status. Never throws. */
export async function dispatch(
  commands: readonly Command[],
  argv: readonly string[],
  surroundings: Surroundings,
): Promise<number> {
  let status: number = ExitStatus.Done;
  const program = buildProgram(commands, surroundings, (ended) => {
    status = ended;
  });
  try {
    await program.parseAsync(inTodaysWords(commands, argv), { from: "user" });
    return status;
  } catch (reason) {
    // commander has printed what it has to say; help that was asked for is no failure.
    if (reason instanceof CommanderError) {
      return reason.exitCode === 0 ? ExitStatus.Done : ExitStatus.Usage;
    }
    return report(reason, surroundings.terminal);
  }
}

function inTodaysWords(commands: readonly Command[], argv: readonly string[]): readonly string[] {
  const meant = commands.find(({ path }) => path.every((word, i) => argv[i] === word));
  if (meant?.today === undefined) return argv;
  return [...meant.path, ...meant.today(argv.slice(meant.path.length))];
}

/** What --help says: of the program, then of every command. For documents and their tests. */
export function helpTexts(commands: readonly Command[], surroundings: Surroundings): string[] {
  const program = buildProgram(commands, surroundings, () => {});
  const texts = (of: Program): string[] => [
    of.helpInformation(),
    ...of.commands.flatMap((inner) => texts(inner)),
  ];
  return texts(program);
}

const groups: Readonly<Record<string, string>> = {
  route: "add, list, get, remove: what a domain or a port leads to",
  service: "put, list, pause, resume, remove: who answers, and how a backend is chosen",
  backend: "add, list, remove: where a service runs",
  node: "list, drain: the nodes that share a store",
  store: "status, accept: how a node stands to its store",
};

/** Wide enough for a terminal of today, and the same in a pipe. */
const helpWidth = 100;

function buildProgram(
  commands: readonly Command[],
  { terminal, env, version }: Surroundings,
  ended: (status: number) => void,
): Program {
  const program = new Program("crosspoint");
  setUp(program, terminal);
  program
    .description(
      "A dynamic HTTP/TCP cluster router: what is added is served when the call returns.",
    )
    .version(version, "-V, --version", "print the version")
    .helpCommand(false)
    .enablePositionalOptions();
  // Before the command, as well as after it.
  for (const flag of clientFlags) program.addOption(optionOf(flag).hideHelp());
  for (const command of commands) {
    const name = command.path.at(-1) ?? "";
    const leaf = groupOf(program, command.path, terminal).command(name);
    setUp(leaf, terminal);
    describe(leaf, command);
    const flags = flagsOf(command);
    leaf.action(async () => {
      const args = command.arguments.map((_, i): string | undefined => leaf.args[i]);
      const given = { ...flagsGiven(program, clientFlags), ...flagsGiven(leaf, flags) };
      ended(await command.run({ args, flags: given, terminal, env }));
    });
  }
  return program;
}

function groupOf(program: Program, path: readonly string[], terminal: Terminal): Program {
  const [name = ""] = path;
  if (path.length === 1) return program;
  const known = program.commands.find((command) => command.name() === name);
  if (known !== undefined) return known;
  const group = program
    .command(name)
    .description(groups[name] ?? "")
    .helpCommand(false);
  setUp(group, terminal);
  return group;
}

/** Usage errors throw instead of ending the process; help looks as our documents write it. */
function setUp(command: Program, terminal: Terminal): void {
  command
    .exitOverride()
    .showHelpAfterError(false)
    .configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.note(text.trimEnd()),
      outputError: (text, write) => write(text.replace(/^error: /, "crosspoint: ")),
      getOutHelpWidth: () => helpWidth,
      getErrHelpWidth: () => helpWidth,
    })
    .configureHelp({
      optionTerm: (option) => withoutBrackets(option.flags),
      argumentTerm: (argument) => argument.name(),
      subcommandTerm: (inner) =>
        withoutBrackets([inner.name(), ...inner.registeredArguments.map(argumentText)].join(" ")),
      commandUsage: (inner) =>
        withoutBrackets(`${parentNames(inner)}${inner.name()} ${inner.usage()}`),
    });
}

const withoutBrackets = (text: string): string => text.replace(/[<>]/g, "");

const argumentText = (argument: { required: boolean; name(): string }): string =>
  argument.required ? argument.name() : `[${argument.name()}]`;

function parentNames(command: Program): string {
  const names: string[] = [];
  for (let parent = command.parent; parent !== null; parent = parent.parent) {
    names.unshift(`${parent.name()} `);
  }
  return names.join("");
}

function describe(leaf: Program, command: Command): void {
  leaf.description(command.summary).allowExcessArguments(false);
  for (const argument of command.arguments) leaf.argument(argumentTerm(argument), argument.help);
  for (const flag of flagsOf(command)) leaf.addOption(optionOf(flag));
  const examples = command.examples ?? [];
  if (examples.length > 0) {
    leaf.addHelpText("after", `\nExamples:\n${examples.map((line) => `  ${line}`).join("\n")}`);
  }
}

function argumentTerm({ name, optional = false }: Argument): string {
  return optional ? `[${name}]` : `<${name}>`;
}

function optionOf({
  name,
  short,
  value,
  help,
  repeatable = false,
  required = false,
  choices,
  group,
}: Flag): Option {
  const flags = `${short === undefined ? "" : `-${short}, `}--${name}`;
  const option = new Option(value === undefined ? flags : `${flags} <${value}>`, help);
  if (choices !== undefined) option.choices(choices);
  if (group !== undefined) option.helpGroup(`${group}:`);
  option.makeOptionMandatory(required);
  if (repeatable) {
    option.argParser((text: string, texts: readonly string[] | undefined) => [
      ...(texts ?? []),
      text,
    ]);
  }
  return option;
}

/** Only what was given, by the names of the table. */
function flagsGiven(command: Program, flags: readonly Flag[]): Flags {
  const values = command.opts<Flags>();
  const given = new Map<string, Flags[string]>();
  for (const flag of flags) {
    const value = values[optionOf(flag).attributeName()];
    if (value !== undefined) given.set(flag.name, value);
  }
  return Object.fromEntries(given);
}
