// One list of all that is followed: read, compared with what was handed over, and judged.
//
// Knows: which questions the judge needs answered, and asks etcd for the witness. Does not know: what happens
// with the verdict.

import type { System } from "../system.ts";
import { Difference, type KeySense } from "./difference.ts";
import { type Etcd, type EtcdHeader, shownKey } from "./etcd.ts";
import type { FollowedContent } from "./followed-content.ts";
import { judge, type Verdict } from "./judge.ts";
import type { Lister } from "./listing.ts";
import { askWitness } from "./witness.ts";

export interface JudgedListOptions {
  readonly etcd: Etcd;
  readonly system: System;
  readonly lister: Lister;
  readonly content: FollowedContent;
  readonly sense: KeySense;
  /** See judge.ts. */
  readonly markerLost: boolean;
  readonly name: string;
  readonly signal: AbortSignal;
}

export interface JudgedList {
  readonly header: EtcdHeader;
  readonly difference: Difference;
  readonly verdict: Verdict;
}

/** No watch may run meanwhile. Rejects as etcd does, and when `signal` aborts. */
export async function listAndJudge(options: JudgedListOptions): Promise<JudgedList> {
  const { content, lister, system, signal, sense } = options;
  const difference = new Difference(content.entries, sense);
  const header = await lister.list(difference, { keysOnly: false, signal });
  await difference.finish(system);
  const verdict = await judgeList(options, header, difference);
  signal.throwIfAborted();
  return { header, difference, verdict };
}

async function judgeList(
  options: JudgedListOptions,
  header: EtcdHeader,
  difference: Difference,
): Promise<Verdict> {
  const { etcd, content, name, markerLost } = options;
  const { clusterId, headerRevision, identity } = content;
  const { removed, changed, added, contradiction, newestBefore } = difference;
  // Also where nothing would be lost: a watch asks the same before it begins, and must hear no other answer.
  const witness = content.continues(header)
    ? await askWitness(etcd, content.newest ?? newestBefore)
    : "unknown";
  return judge({
    name,
    markerLost,
    ours: { clusterId, headerRevision, identity, serving: difference.servingBefore },
    theirs: {
      ...header,
      identity: content.identityAmong((key) => difference.listed.get(key)),
      serving: difference.listedServing,
      removed,
      changed,
      added,
      witness,
      contradiction: contradiction === undefined ? undefined : shownKey(contradiction),
    },
  });
}
