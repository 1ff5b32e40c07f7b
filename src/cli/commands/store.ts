// crosspoint store status | accept

import {
  AcceptStoreRequest,
  AcceptStoreResponse,
  GetStoreRequest,
  GetStoreResponse,
  type Store,
  Store_State as StoreState,
} from "../../gen/crosspoint/v1/router.ts";
import { withNode } from "../client.ts";
import { type Command, isOn } from "../command.ts";
import { ExitStatus } from "../failure.ts";
import { printJson, timeText } from "../show.ts";
import { printable, printTable } from "../table.ts";
import type { Terminal } from "../terminal.ts";

const stateTexts: Readonly<Record<StoreState, string>> = {
  [StoreState.UNSPECIFIED]: "unknown",
  [StoreState.CURRENT]: "current",
  [StoreState.AWAY]: "away",
  [StoreState.STALE]: "stale",
  [StoreState.HELD]: "held",
};

export const storeStatus: Command = {
  path: ["store", "status"],
  summary: "how this node stands to its store; exit status 1 unless all is current",
  arguments: [],
  flags: [],
  client: true,
  examples: ["crosspoint store status || crosspoint store accept --dry-run"],
  run: ({ flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const answer = await node.call<GetStoreResponse>((stub, ...rest) =>
        stub.getStore(GetStoreRequest.fromPartial({}), ...rest),
      );
      const { store } = answer;
      if (isOn(flags, "json")) printJson(terminal, "GetStoreResponse", GetStoreResponse, answer);
      else if (store !== undefined) printTable(terminal, ["FIELD", "VALUE"], rowsOf(store));
      const current = store?.state === StoreState.CURRENT && store.discoveryTroubles.length === 0;
      return current ? ExitStatus.Done : ExitStatus.Failed;
    }),
};

export const storeAccept: Command = {
  path: ["store", "accept"],
  summary: "take what the store holds as the truth, on every node, although it has lost its past",
  arguments: [],
  flags: [{ name: "dry-run", help: "print what would go, change and come; take nothing" }],
  client: true,
  examples: ["crosspoint store accept --dry-run", "crosspoint store accept"],
  run: ({ flags, env, terminal }) =>
    withNode({ flags, env }, async (node) => {
      const dryRun = isOn(flags, "dry-run");
      const request = AcceptStoreRequest.fromPartial({ validateOnly: dryRun });
      const answer = await node.call<AcceptStoreResponse>((stub, ...rest) =>
        stub.acceptStore(request, ...rest),
      );
      if (isOn(flags, "json")) {
        printJson(terminal, "AcceptStoreResponse", AcceptStoreResponse, answer);
      } else printAccepted(terminal, answer, dryRun);
      return ExitStatus.Done;
    }),
};

function rowsOf(store: Store): readonly (readonly string[])[] {
  const held = store.state === StoreState.HELD;
  return [
    ["name", store.name],
    ["state", stateTexts[store.state] ?? String(store.state)],
    ["revision", String(store.revision)],
    ...(store.since === undefined ? [] : [["since", timeText(store.since)]]),
    ...(store.detail === "" ? [] : [["detail", store.detail]]),
    ...(held ? [["accept would", differenceText(store)]] : []),
    ...store.discoveryTroubles.map((trouble) => ["discovery", trouble]),
  ];
}

function printAccepted(terminal: Terminal, answer: AcceptStoreResponse, dryRun: boolean): void {
  const { store } = answer;
  const name = printable(store?.name ?? "the store");
  const revision = store === undefined ? "" : `  (revision ${store.revision})`;
  terminal.print(
    dryRun
      ? `would ${differenceText(answer)}: what ${name} holds would be served`
      : `accepted ${name}: ${doneText(answer)}${revision}`,
  );
  // Held or only away: which of them acceptance helps is the source's to know.
  for (const trouble of store?.discoveryTroubles ?? []) {
    terminal.note(`discovery: ${printable(trouble)}`);
  }
}

type Difference = Pick<Store, "removed" | "changed" | "added">;

function differenceText({ removed, changed, added }: Difference): string {
  return `remove ${removed}, change ${changed} and add ${added} entries`;
}

function doneText({ removed, changed, added }: Difference): string {
  return `removed ${removed}, changed ${changed} and added ${added} entries`;
}
