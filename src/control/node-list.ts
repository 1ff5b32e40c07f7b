// The nodes that share the store, as ListNodes tells them: asked on the spot, this one from what it knows itself.

import * as proto from "../gen/crosspoint/v1/router.ts";
import { lagCountedMax, listNodesMsMax } from "../limits.ts";
import { type Revision, revisionZero } from "../model/revision.ts";
import type { MemberInfo, MemberReport } from "../store/members.ts";
import type { Store } from "../store/store.ts";
import { type System, sleep } from "../system.ts";
import type { Cluster } from "./cluster.ts";
import type { Serving } from "./serving.ts";
import type { TableView } from "./table-view.ts";

export interface NodeListParts {
  readonly cluster: Pick<Cluster, "askOthers" | "trouble">;
  readonly store: Pick<Store, "watch">;
  readonly view: TableView;
  readonly serving: Pick<Serving, "nodeName" | "whenServed">;
  readonly system: System;
  /** What this node says of itself. */
  readonly info: () => MemberInfo;
}

/** One node, before it is rendered. */
interface Listed {
  readonly info: MemberInfo;
  readonly report: MemberReport;
  readonly state: proto.Node_State;
  readonly self: boolean;
}

/** Takes `listNodesMsMax` at most. */
export async function listNodes(
  parts: NodeListParts,
  signal: AbortSignal,
): Promise<proto.ListNodesResponse> {
  const revision = parts.view.table.revision;
  const [own, others] = await Promise.all([
    ownReport(parts, revision, signal),
    parts.cluster.askOthers(revision, signal),
  ]);
  const listed: Listed[] = [
    { info: parts.info(), report: own, state: proto.Node_State.SERVING, self: true },
    ...others.map(({ member, answered }) => ({
      info: member,
      report: member,
      state: stateOf(member.starting, answered),
      self: false,
    })),
  ];
  const nodes = await Promise.all(listed.map((one) => render(parts, one, revision, signal)));
  nodes.sort((a, b) =>
    a.name === b.name ? Number(b.self) - Number(a.self) : a.name < b.name ? -1 : 1,
  );
  return { nodes, revision: BigInt(revision) };
}

function stateOf(starting: boolean, answered: boolean): proto.Node_State {
  if (starting) return proto.Node_State.STARTING;
  return answered ? proto.Node_State.SERVING : proto.Node_State.SILENT;
}

/** Of this node's workers, and of its place among the nodes. */
async function ownReport(
  { cluster, serving, system }: NodeListParts,
  revision: Revision,
  signal: AbortSignal,
): Promise<MemberReport> {
  const late = new AbortController();
  const either = AbortSignal.any([signal, late.signal]);
  const cancel = system.after(listNodesMsMax - listNodesMsMax / 10, () => late.abort());
  try {
    const [lag] = await serving.whenServed(revision, either);
    const reasons = [lag?.reason ?? "", cluster.trouble].filter((reason) => reason !== "");
    return {
      servedRevision: lag?.servedRevision ?? revision,
      lag:
        reasons.length === 0 ? undefined : { revision, reason: reasons.join("; "), refused: false },
    };
  } finally {
    cancel();
  }
}

async function render(
  { store, system }: NodeListParts,
  { info, report, state, self }: Listed,
  revision: Revision,
  signal: AbortSignal,
): Promise<proto.Node> {
  const { servedRevision, lag } = report;
  const lags = servedRevision < revision;
  return {
    name: info.name,
    state,
    servedRevision: BigInt(servedRevision),
    revisionLag: lags
      ? BigInt(await revisionsBetween({ store, system }, servedRevision, revision, signal))
      : 0n,
    lagReason: lag !== undefined && (self || lags) ? lag.reason : "",
    version: info.version,
    workers: info.workers,
    io: info.io,
    startTime: new Date(info.startTimeMs),
    rpcAddress: info.rpc,
    adminAddress: info.admin,
    httpAddresses: [...info.http],
    self,
  };
}

/** How many revisions of the table follow `after`, up to `last`; their plain difference when that is not known. */
async function revisionsBetween(
  { store, system }: Pick<NodeListParts, "store" | "system">,
  after: Revision,
  last: Revision,
  signal: AbortSignal,
): Promise<number> {
  const difference = last - after;
  if (after === revisionZero) return difference;
  const stop = new AbortController();
  const count = async (): Promise<number> => {
    let counted = 0;
    for await (const { revision } of store.watch(after, AbortSignal.any([signal, stop.signal]))) {
      if (revision > last) return counted;
      counted++;
      if (revision === last) return counted;
      if (counted >= lagCountedMax) break;
    }
    return difference;
  };
  const late = sleep(system, listNodesMsMax / 10, stop.signal).then(() => difference);
  try {
    return await Promise.race([count().catch(() => difference), late]);
  } finally {
    stop.abort();
  }
}
