// crosspoint node drain

import { parseDuration } from "../../config-values.ts";
import { DrainNodeRequest, DrainNodeResponse } from "../../gen/crosspoint/v1/router.ts";
import { nodeDrainMsMax } from "../../limits.ts";
import { withNode } from "../client.ts";
import { type Command, isOn, textOf } from "../command.ts";
import { ExitStatus } from "../failure.ts";
import { durationOf } from "../parse-words.ts";
import { printJson } from "../show.ts";

export const nodeDrain: Command = {
  path: ["node", "drain"],
  summary: "let the node that is asked leave: not ready, finish what is open, exit",
  arguments: [{ name: "NAME", help: "refused unless the node is called so", optional: true }],
  flags: [
    {
      name: "notice",
      value: "DURATION",
      help: "how long it still accepts while it says that it is not ready (default: 0)",
    },
    {
      name: "drain",
      value: "DURATION",
      help: "how long open work may take then (default: the node's own --drain)",
    },
  ],
  client: true,
  examples: ["crosspoint node drain edge-1 --rpc 10.0.0.1:7070 --notice 10s --drain 60s"],
  run: ({ args, flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const notice = spanOf(textOf(flags, "notice"), "--notice");
      const drain = spanOf(textOf(flags, "drain"), "--drain");
      const request = DrainNodeRequest.fromPartial({
        node: args[0] ?? "",
        ...(notice === undefined ? {} : { notice: durationOf(notice) }),
        ...(drain === undefined ? {} : { drain: durationOf(drain) }),
      });
      // How long the node's own --drain is, only the node knows.
      const answer = await node.call<DrainNodeResponse>(
        (stub, ...rest) => stub.drainNode(request, ...rest),
        (notice ?? 0) + (drain ?? nodeDrainMsMax),
      );
      if (isOn(flags, "json")) {
        printJson(terminal, "DrainNodeResponse", DrainNodeResponse, answer);
      } else terminal.print(answer.cut === 0 ? "left" : `left  (${answer.cut} connections cut)`);
      return ExitStatus.Done;
    }),
};

function spanOf(text: string | undefined, flag: string): number | undefined {
  return text === undefined ? undefined : parseDuration(text, flag);
}
