// Shell completion: commands and flags from the table, names of routes and services from a live node.
//
// The only file that knows the package `@bomb.sh/tab`. A node that does not answer at once completes
// nothing, in silence: a shell is waiting.

import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Complete, RootCommand, script } from "@bomb.sh/tab";
import type { ListRoutesResponse, ListServicesResponse } from "../gen/crosspoint/v1/router.ts";
import { completionNamesMax, completionTimeoutMs } from "../limits.ts";
import { type NodeClient, withNode } from "./client.ts";
import { type Command, type Completion, flagsOf } from "./command.ts";
import type { Terminal } from "./terminal.ts";

export const shells = ["bash", "zsh", "fish"] as const;

/** The script for bash calls this; it comes with the package bash-completion, which not every machine has. */
const bashWords = `type _get_comp_words_by_ref >/dev/null 2>&1 || _get_comp_words_by_ref() {
    words=("\${COMP_WORDS[@]}") cword=$COMP_CWORD
    cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]}
}`;

/** Prints the script that a shell sources. */
export function printCompletionScript(shell: string, terminal: Terminal): void {
  if (shell === "bash") terminal.print(bashWords);
  script(shell, "crosspoint", "crosspoint");
}

/** Answers a shell: `words` are what stands behind `crosspoint`, the last one perhaps unfinished. */
export async function complete(
  commands: readonly Command[],
  words: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<void> {
  const meant = commands.find(({ path }) => path.every((word, i) => words[i] === word));
  const names = await liveNames(meant, words, env);
  const handler =
    (completion: Completion | undefined): ((offer: Complete) => void) =>
    (offer) => {
      for (const value of candidates(completion, names, words.at(-1) ?? "")) offer(value, "");
    };
  const root = new RootCommand();
  for (const group of new Set(commands.flatMap(({ path }) => (path.length > 1 ? [path[0]] : [])))) {
    root.command(group ?? "", "");
  }
  for (const command of commands) {
    const node = root.command(command.path.join(" "), command.summary);
    for (const { name, complete: completion } of command.arguments) {
      node.argument(name, handler(completion));
    }
    for (const flag of flagsOf(command)) {
      if (flag.value === undefined) node.option(flag.name, flag.help, flag.short);
      else node.option(flag.name, flag.help, handler(flag.choices ?? flag.complete), flag.short);
    }
  }
  root.parse([...words]);
}

interface LiveNames {
  readonly route: readonly string[];
  readonly service: readonly string[];
}

const noNames: LiveNames = { route: [], service: [] };

/** Asks the node only when the command has an argument or a flag that needs it. */
async function liveNames(
  command: Command | undefined,
  words: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<LiveNames> {
  if (command === undefined) return noNames;
  const completed = [...command.arguments, ...command.flags];
  const wanted = new Set(completed.map(({ complete: completion }) => completion));
  if (!wanted.has("route") && !wanted.has("service")) return noNames;
  const rpc = valueOf("--rpc", words);
  const flags = { timeout: `${completionTimeoutMs}ms`, ...(rpc === undefined ? {} : { rpc }) };
  try {
    return await withNode({ flags, env }, async (node) => ({
      route: wanted.has("route") ? await routeNames(node) : [],
      service: wanted.has("service") ? await serviceNames(node) : [],
    }));
  } catch {
    return noNames;
  }
}

/** The first page: nobody reads more. */
async function routeNames(node: NodeClient): Promise<readonly string[]> {
  const request = { filter: {}, pageSize: completionNamesMax, pageToken: "" };
  const { routes } = await node.call<ListRoutesResponse>((stub, ...rest) =>
    stub.listRoutes(request, ...rest),
  );
  return routes.map(({ name }) => name);
}

async function serviceNames(node: NodeClient): Promise<readonly string[]> {
  const request = { pageSize: completionNamesMax, pageToken: "", withStatus: false };
  const { services } = await node.call<ListServicesResponse>((stub, ...rest) =>
    stub.listServices(request, ...rest),
  );
  return services.map(({ name }) => name);
}

function candidates(
  completion: Completion | undefined,
  names: LiveNames,
  word: string,
): readonly string[] {
  if (completion === undefined) return [];
  if (completion === "file") return filesLike(word);
  return typeof completion === "string" ? names[completion] : completion;
}

/** tab tells the shell not to complete files itself. */
function filesLike(word: string): readonly string[] {
  const directory = word.endsWith("/") ? word : dirname(word);
  try {
    return readdirSync(directory, { withFileTypes: true }).map((entry) => {
      const path = directory === "." ? entry.name : join(directory, entry.name);
      return entry.isDirectory() ? `${path}/` : path;
    });
  } catch {
    return [];
  }
}

function valueOf(flag: string, words: readonly string[]): string | undefined {
  const at = words.indexOf(flag);
  if (at !== -1) return words[at + 1];
  return words.find((word) => word.startsWith(`${flag}=`))?.slice(flag.length + 1);
}
