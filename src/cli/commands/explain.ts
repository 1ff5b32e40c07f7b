// crosspoint explain URL|tcp:PORT

import { ExplainRequest, ExplainResponse } from "../../gen/crosspoint/v1/router.ts";
import { withNode } from "../client.ts";
import { type Command, type Flags, isOn, textOf, textsOf } from "../command.ts";
import { fieldsOfWords } from "../condition-words.ts";
import { ExitStatus, usageError } from "../failure.ts";
import { parsePortWord } from "../parse-words.ts";
import { printJson } from "../show.ts";
import { printable } from "../table.ts";

export const explain: Command = {
  path: ["explain"],
  summary: "where a request would go, and why; exit status 3 when nowhere (404)",
  arguments: [{ name: "TARGET", help: "URL or tcp:PORT" }],
  flags: [
    { name: "method", short: "X", value: "METHOD", help: "(default: GET)" },
    {
      name: "header",
      short: "H",
      value: "NAME:VALUE",
      help: "a field of the request; repeatable",
      repeatable: true,
    },
    {
      name: "from",
      value: "ADDRESS",
      help: "who asks (default: nobody; who may come is told, not judged)",
    },
  ],
  client: true,
  examples: [
    "crosspoint explain http://app.example.com/api",
    "crosspoint explain http://app.example.com/api -X POST -H 'x-canary: 1' --from 192.0.2.7",
    "crosspoint explain tcp:5432",
  ],
  run: ({ args, flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const request = ExplainRequest.fromPartial({ request: questionOf(args[0] ?? "", flags) });
      const answer = await node.call<ExplainResponse>((stub, ...rest) =>
        stub.explain(request, ...rest),
      );
      if (isOn(flags, "json")) printJson(terminal, "ExplainResponse", ExplainResponse, answer);
      else {
        for (const step of answer.steps) terminal.print(printable(step));
        terminal.print(terminal.style("bold", printable(verdict(answer))));
      }
      return answer.route === "" || answer.status === notFound
        ? ExitStatus.NotFound
        : ExitStatus.Done;
    }),
};

const notFound = 404;

function questionOf(target: string, flags: Flags): NonNullable<ExplainRequest["request"]> {
  if (target.startsWith("tcp:")) {
    for (const name of ["method", "header", "from"]) {
      if (flags[name] === undefined) continue;
      throw usageError(`--${name}: is for URLs; ${target} has connections, not requests`);
    }
    return { $case: "tcpPort", value: parsePortWord(target.slice("tcp:".length), target) };
  }
  return {
    $case: "http",
    value: {
      ...parseTarget(target),
      method: textOf(flags, "method") ?? "GET",
      headers: headersOf(target, fieldsOfWords(textsOf(flags, "header"), "--header")),
      clientAddress: textOf(flags, "from") ?? "",
    },
  };
}

/** The node itself speaks http: what came by https says so in a field of the terminator in front. */
function headersOf(
  target: string,
  given: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const says = Object.keys(given).some((name) => name.toLowerCase() === "x-forwarded-proto");
  return says || !/^(?:https|wss):\/\//i.test(target)
    ? given
    : { "X-Forwarded-Proto": "https", ...given };
}

function verdict({ route, service, backend, status, revision }: ExplainResponse): string {
  const at = `(revision ${revision})`;
  if (route === "") return `no route${status === 0 ? "" : `: ${status}`}  ${at}`;
  const way = service === "" ? `route ${route}` : `route ${route} -> service ${service}`;
  if (status !== 0) {
    return service === ""
      ? `${way} -> the router answers ${status}  ${at}`
      : `${way} -> no backend: the router answers ${status}  ${at}`;
  }
  return `${way} -> ${backend === "" ? "no backend" : `backend ${backend}`}  ${at}`;
}

/** A URL in host and path, as written: the path is what a client would send, dots and all. */
function parseTarget(text: string): { readonly host: string; readonly path: string } {
  const match = /^(?:[^/?#@]*@)?([^/?#@]+)([^#]*)/.exec(text.replace(/^(?:https?|wss?):\/\//i, ""));
  const host = match?.[1] ?? "";
  if (host === "" || /\s/.test(text)) {
    throw usageError(`TARGET: ${JSON.stringify(text)} is neither a URL nor tcp:PORT`);
  }
  const path = match?.[2] ?? "";
  return { host, path: path.startsWith("/") ? path : `/${path}` };
}
