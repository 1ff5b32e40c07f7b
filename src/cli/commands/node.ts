// crosspoint node list

import {
  ListNodesRequest,
  ListNodesResponse,
  type Node,
  Node_State as NodeState,
} from "../../gen/crosspoint/v1/router.ts";
import { withNode } from "../client.ts";
import { type Command, isOn } from "../command.ts";
import { ExitStatus } from "../failure.ts";
import { printJson, timeText } from "../show.ts";
import { printTable } from "../table.ts";

const stateTexts: Readonly<Record<NodeState, string>> = {
  [NodeState.UNSPECIFIED]: "unknown",
  [NodeState.STARTING]: "starting",
  [NodeState.SERVING]: "serving",
  [NodeState.SILENT]: "silent",
};

export const nodeList: Command = {
  path: ["node", "list"],
  summary:
    "the live nodes that share the store, and how far each is; * marks the one that was asked",
  arguments: [],
  flags: [],
  client: true,
  examples: [
    "crosspoint node list --json | jq -r '.nodes[] | select(.revisionLag != \"0\") | .name'",
  ],
  run: ({ flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const list = await node.call<ListNodesResponse>((stub, ...rest) =>
        stub.listNodes(ListNodesRequest.fromPartial({}), ...rest),
      );
      if (isOn(flags, "json")) printJson(terminal, "ListNodesResponse", ListNodesResponse, list);
      else printTable(terminal, head, list.nodes.map(rowOf));
      return ExitStatus.Done;
    }),
};

const head = ["NAME", "STATE", "REVISION", "LAG", "WORKERS", "IO", "SINCE", "ADDRESS", "WHY"];

function rowOf(node: Node): readonly string[] {
  return [
    node.self ? `${node.name}*` : node.name,
    stateTexts[node.state] ?? String(node.state),
    String(node.servedRevision),
    String(node.revisionLag),
    String(node.workers),
    node.io,
    timeText(node.startTime),
    node.rpcAddress,
    node.lagReason,
  ];
}
