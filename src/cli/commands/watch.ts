// crosspoint watch

import { type Backend, BackendDrain_State, WatchResponse } from "../../gen/crosspoint/v1/router.ts";
import { unreachable } from "../../model/errors.ts";
import { withNode } from "../client.ts";
import { type Command, isOn, textOf } from "../command.ts";
import { ExitStatus } from "../failure.ts";
import { parseNumberWord } from "../parse-words.ts";
import { messageToJson } from "../proto-json.ts";
import { routeText } from "../route-text.ts";
import { serviceText } from "../service-text.ts";
import { timeText } from "../show.ts";
import { printable } from "../table.ts";
import type { Terminal } from "../terminal.ts";

export const watch: Command = {
  path: ["watch"],
  summary: "the table, then changes as they happen",
  arguments: [],
  flags: [
    {
      name: "after",
      value: "REVISION",
      help: "only changes after this one (default: 0, the table first)",
    },
  ],
  client: true,
  examples: ["crosspoint watch --json | jq -c .routePut", "crosspoint watch --after 17"],
  run: ({ flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      let seen = BigInt(parseNumberWord(textOf(flags, "after") ?? "0", "--after", 0));
      try {
        for await (const event of node.watch(seen)) {
          if (event.event?.$case === "bookmark") seen = event.revision;
          if (isOn(flags, "json")) {
            terminal.print(JSON.stringify(messageToJson("WatchResponse", WatchResponse, event)));
          } else printEvent(terminal, event);
        }
      } finally {
        if (seen > 0n) terminal.note(`go on with \`crosspoint watch --after ${seen}\``);
      }
      return ExitStatus.Done;
    }),
};

function printEvent(terminal: Terminal, { revision, event }: WatchResponse): void {
  const line = (sign: "+" | "-" | "~", what: string): void => {
    const style = sign === "+" ? "green" : sign === "-" ? "red" : "yellow";
    terminal.print(`${revision}  ${terminal.style(style, `${sign} ${printable(what)}`)}`);
  };
  switch (event?.$case) {
    case undefined:
    case "bookmark":
      return;
    case "routePut":
      return line("+", `route ${routeText(event.value)}`);
    case "routeRemoved":
      return line("-", `route ${event.value}`);
    case "servicePut":
      return line("+", `service ${serviceText(event.value)}`);
    case "serviceRemoved":
      return line("-", `service ${event.value}`);
    case "backendPut":
      if (event.value.drain !== undefined) return line("~", `backend ${drainText(event.value)}`);
      return line(
        "+",
        `backend ${event.value.service} -> ${event.value.address}  weight ${event.value.weight}`,
      );
    case "backendRemoved":
      return line("-", `backend ${event.value.service} -> ${event.value.address}`);
    default:
      unreachable(event);
  }
}

/** "draining web -> 10.0.0.7:80  until 2026-11-21T08:00:00Z", "drained web -> 10.0.0.7:80  (2 cut)". */
function drainText({ service, address, drain }: Backend): string {
  const which = `${service} -> ${address}`;
  if (drain?.state === BackendDrain_State.DRAINED) return `drained ${which}  (${drain.cut} cut)`;
  return `draining ${which}  until ${timeText(drain?.deadline)}`;
}
