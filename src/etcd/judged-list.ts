// One list of all that is followed: read, compared with what was handed over, and judged.
//
// Knows: which questions the judge needs answered, and asks etcd for the witness. Does not know: what happens
// with the verdict.

import { RouterError } from "../model/errors.ts";
import type { System } from "../system.ts";
import { Difference, type KeySense, sameValue } from "./difference.ts";
import { type Etcd, type EtcdHeader, shownKey } from "./etcd.ts";
import type { FollowedContent } from "./followed-content.ts";
import { judge, type Verdict, type Witness } from "./judge.ts";
import { isCompacted, type Lister } from "./listing.ts";

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
  const { content, name, markerLost } = options;
  const { clusterId, headerRevision, identity } = content;
  const { removed, changed, added, contradiction } = difference;
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
      witness: await askWitness(options, header, difference),
      contradiction: contradiction === undefined ? undefined : shownKey(contradiction),
    },
  });
}

/** Our newest key, as of the revision that wrote it: only the past that we followed has it so. */
async function askWitness(
  { etcd, content }: JudgedListOptions,
  header: EtcdHeader,
  { removed, changed, newestBefore }: Difference,
): Promise<Witness> {
  if (newestBefore === undefined || removed + changed === 0) return "unknown";
  if (!content.continues(header)) return "unknown";
  const { key, modRevision } = newestBefore;
  try {
    const { kvs } = await etcd.range({ key, revision: modRevision });
    const then = kvs[0];
    if (then === undefined || then.modRevision !== modRevision) return "other";
    return sameValue(then, newestBefore) ? "same" : "other";
  } catch (error) {
    if (isCompacted(error)) return "unknown";
    throw RouterError.from(error);
  }
}
