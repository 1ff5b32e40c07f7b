// crosspoint explain URL|tcp:PORT

import { ExplainRequest, ExplainResponse } from "../../gen/crosspoint/v1/router.ts";
import { withNode } from "../client.ts";
import { type Command, isOn, textOf, textsOf } from "../command.ts";
import { ExitStatus, usageError } from "../failure.ts";
import { parsePortWord } from "../parse-words.ts";
import { printJson } from "../show.ts";
import { printable } from "../table.ts";

export const explain: Command = {
  path: ["explain"],
  summary: "where a request would go, and why; exit status 3 when nowhere",
  arguments: [{ name: "TARGET", help: "URL or tcp:PORT" }],
  flags: [
    { name: "method", value: "METHOD", help: "(default: GET)" },
    {
      name: "header",
      value: "NAME:VALUE",
      help: "a field of the request; repeatable",
      repeatable: true,
    },
  ],
  client: true,
  examples: ["crosspoint explain http://app.example.com/api", "crosspoint explain tcp:5432"],
  run: ({ args, flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const target = args[0] ?? "";
      const request = ExplainRequest.fromPartial({
        request: target.startsWith("tcp:")
          ? { $case: "tcpPort", value: parsePortWord(target.slice("tcp:".length), target) }
          : {
              $case: "http",
              value: {
                ...parseTarget(target),
                method: textOf(flags, "method") ?? "GET",
                headers: headersOf(textsOf(flags, "header")),
              },
            },
      });
      const answer = await node.call<ExplainResponse>((stub, ...rest) =>
        stub.explain(request, ...rest),
      );
      if (isOn(flags, "json")) printJson(terminal, "ExplainResponse", ExplainResponse, answer);
      else {
        for (const step of answer.steps) terminal.print(printable(step));
        terminal.print(terminal.style("bold", printable(verdict(answer))));
      }
      return answer.route === "" ? ExitStatus.NotFound : ExitStatus.Done;
    }),
};

function verdict({ route, service, backend, revision }: ExplainResponse): string {
  if (route === "") return `no route  (revision ${revision})`;
  const end = backend === "" ? "no backend" : `backend ${backend}`;
  return `route ${route} -> service ${service} -> ${end}  (revision ${revision})`;
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

function headersOf(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const match = /^([!#$%&'*+.^_`|~\w-]+):\s*(.*)$/.exec(word);
      if (match === null) throw usageError(`--header: ${JSON.stringify(word)} is not NAME:VALUE`);
      return [match[1] ?? "", match[2] ?? ""];
    }),
  );
}
