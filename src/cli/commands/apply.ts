// crosspoint apply | export

import { readFileSync } from "node:fs";
import { text as textOfStream } from "node:stream/consumers";
import {
  ChangeResult_Action as Action,
  ApplyChangesRequest,
  ApplyChangesResponse,
  Change,
  type ChangeResult,
  type Route,
  Wait,
} from "../../gen/crosspoint/v1/router.ts";
import { applyPartBytes, applyPartChanges, changesPerRequestMax } from "../../limits.ts";
import { RouterError } from "../../model/errors.ts";
import { type ApplyFile, formatApplyFile, parseApplyFile } from "../apply-file.ts";
import { type NodeClient, withNode } from "../client.ts";
import { type Command, isOn, textOf } from "../command.ts";
import { ExitStatus, renamed, usageError } from "../failure.ts";
import { parseNumberWord } from "../parse-words.ts";
import { differenceText, routeText } from "../route-text.ts";
import { serviceText } from "../service-text.ts";
import { noteLagging, printJson, waitFlag, waitOf } from "../show.ts";
import { printable } from "../table.ts";
import type { Terminal } from "../terminal.ts";

export const apply: Command = {
  path: ["apply"],
  summary: "make routes and services what a file says: all of it or nothing; prints the difference",
  arguments: [],
  flags: [
    {
      name: "file",
      short: "f",
      value: "FILE",
      help: "YAML or JSON with `routes:` and `services:`; - is standard input",
      required: true,
      complete: "file",
    },
    { name: "dry-run", help: "print the difference, change nothing" },
    {
      name: "in-parts",
      help: `${applyPartChanges} changes at a time, each part all or nothing: for files of more than ${changesPerRequestMax}`,
    },
    {
      name: "if-revision",
      value: "N",
      help: "only if the table is at this revision (`export` prints it)",
    },
    waitFlag,
  ],
  client: true,
  examples: [
    "crosspoint apply -f routes.yaml --dry-run",
    "crosspoint export | crosspoint apply -f -",
  ],
  run: ({ flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const path = textOf(flags, "file") ?? "-";
      const file = parseApplyFile(await readText(path), path === "-" ? "standard input" : path);
      const dryRun = isOn(flags, "dry-run");
      const request = ApplyChangesRequest.fromPartial({
        changes: [...file.changes],
        wait: waitOf(textOf(flags, "wait")),
        validateOnly: dryRun,
        ifRevision: BigInt(
          parseNumberWord(textOf(flags, "if-revision") ?? "0", "--if-revision", 0),
        ),
      });
      if (file.changes.length === 0) {
        terminal.note("the file names no routes and no services: nothing to do");
        return ExitStatus.Done;
      }
      const inParts = isOn(flags, "in-parts");
      if (!inParts && file.changes.length > changesPerRequestMax) {
        throw usageError(
          `the file makes ${file.changes.length} changes; a node takes ${changesPerRequestMax} as one: --in-parts makes several of them`,
        );
      }
      if (inParts && request.ifRevision !== 0n) {
        throw usageError(
          "--if-revision: holds for one change of the table; --in-parts makes several",
        );
      }
      const answer = await (inParts ? applyParts : applyChanges)(node, request, file);
      if (isOn(flags, "json")) {
        printJson(terminal, "ApplyChangesResponse", ApplyChangesResponse, answer);
      } else printDifference(terminal, request.changes, answer, dryRun);
      return noteLagging(answer.lagging, terminal);
    }),
};

export const exportTable: Command = {
  path: ["export"],
  summary: "the table in the form that apply takes",
  arguments: [],
  flags: [],
  client: true,
  examples: ["crosspoint export > routes.yaml"],
  run: ({ flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const { routes, revision } = await node.routes({});
      const { services } = await node.services();
      const table = { routes, services, revision };
      terminal.print(formatApplyFile(table, isOn(flags, "json") ? "json" : "yaml"));
      return ExitStatus.Done;
    }),
};

/** Standard input may come late; a pipe that is read at once answers EAGAIN. */
async function readText(path: string): Promise<string> {
  try {
    return path === "-" ? await textOfStream(process.stdin) : readFileSync(path, "utf8");
  } catch (reason) {
    throw new RouterError(
      "failed-precondition",
      `cannot read the file: ${RouterError.from(reason).message}`,
    );
  }
}

/**
 * Part after part; only the last waits to be served, since that serves what came before it as well. Without
 * storing, each part is compared with the table as it is.
 */
async function applyParts(
  node: NodeClient,
  request: ApplyChangesRequest,
  file: ApplyFile,
): Promise<ApplyChangesResponse> {
  const results: ChangeResult[] = [];
  for (let begin = 0, end = 0; ; begin = end) {
    end = endOfPart(request.changes, begin);
    const last = end >= request.changes.length;
    const part = {
      ...request,
      changes: request.changes.slice(begin, end),
      wait: last ? request.wait : Wait.NONE,
    };
    const first = begin;
    const placeOf = (index: number): string => file.placeOf(first + index);
    try {
      const answer = await applyChanges(node, part, { placeOf });
      results.push(...answer.results);
      if (last) return { ...answer, results };
    } catch (reason) {
      if (begin === 0) throw reason;
      const { code, message, details } = RouterError.from(reason);
      const done = request.validateOnly ? "would do" : "are stored";
      const far = `the first ${begin} of ${request.changes.length} changes ${done}, then: ${message}`;
      throw new RouterError(code, far, details, { cause: reason });
    }
  }
}

/** Where the part that begins there ends: at a thousand changes, or at what fits into one request. */
function endOfPart(changes: readonly Change[], begin: number): number {
  let bytes = 0;
  let end = begin;
  while (end < changes.length && end - begin < applyPartChanges) {
    bytes += Change.encode(changes[end]!).finish().length;
    if (bytes > applyPartBytes && end > begin) break;
    end++;
  }
  return end;
}

/** A wrong `changes[3]...` of the request is a line of the file. */
async function applyChanges(
  node: NodeClient,
  request: ApplyChangesRequest,
  file: Pick<ApplyFile, "placeOf">,
): Promise<ApplyChangesResponse> {
  try {
    return await node.call<ApplyChangesResponse>((stub, ...rest) =>
      stub.applyChanges(request, ...rest),
    );
  } catch (reason) {
    const index = /\bchanges\[(\d+)\]/;
    throw renamed(reason, (text) => {
      const found = index.exec(text);
      return found === null ? text : `${file.placeOf(Number(found[1]))}: ${text}`;
    });
  }
}

function printDifference(
  terminal: Terminal,
  changes: readonly Change[],
  answer: ApplyChangesResponse,
  dryRun: boolean,
): void {
  let different = 0;
  for (const [i, result] of answer.results.entries()) {
    if (result.action === Action.NONE) continue;
    different++;
    terminal.print(differenceLine(terminal, changes[i], result));
  }
  const same = answer.results.length - different;
  const done = dryRun ? "would change" : "changed";
  terminal.note(`${different} ${done}, ${same} as they were; revision ${answer.revision}`);
}

function differenceLine(
  terminal: Terminal,
  change: Change | undefined,
  result: ChangeResult,
): string {
  const { action, before, after } = result;
  const what = subject(change, before, after);
  switch (action) {
    case Action.CREATE:
      return terminal.style("green", `+ ${what}`);
    case Action.DELETE:
      return terminal.style("red", `- ${what}`);
    default: {
      const fields =
        before === undefined || after === undefined ? "" : differenceText(before, after);
      return terminal.style("yellow", `~ ${what}${fields}`);
    }
  }
}

function subject(change: Change | undefined, before?: Route, after?: Route): string {
  const route = after ?? before;
  if (route !== undefined) {
    return before === undefined || after === undefined
      ? `route ${routeText(route)}`
      : `route ${printable(route.name)}`;
  }
  const put = change?.change;
  switch (put?.$case) {
    case "putService":
      return `service ${printable(serviceText(put.value))}`;
    case "removeService":
      return `service ${printable(put.value)}`;
    case "putRoute":
      return `route ${routeText(put.value)}`;
    default:
      return printable(put?.value ?? "");
  }
}
