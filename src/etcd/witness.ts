// The question that tells one past from another: is a key that we followed still written where we saw it?
//
// A restored etcd that was written on has the same cluster, the same marker and a larger revision. What it does not
// have is our newest key in the revision that wrote it.

import { RouterError } from "../model/errors.ts";
import { sameValue } from "./difference.ts";
import type { Etcd, KeyValue } from "./etcd.ts";
import { isCompacted } from "./listing.ts";

/** What the past says; unknown: it is compacted, or nothing can be asked. */
export type Witness = "same" | "other" | "unknown";

/** `newest`: the entry that was written last, of those that are followed. Rejects as etcd does. */
export async function askWitness(etcd: Etcd, newest: KeyValue | undefined): Promise<Witness> {
  if (newest === undefined) return "unknown";
  const { key, modRevision } = newest;
  try {
    const { kvs } = await etcd.range({ key, revision: modRevision });
    const then = kvs[0];
    if (then === undefined || then.modRevision !== modRevision) return "other";
    return sameValue(then, newest) ? "same" : "other";
  } catch (error) {
    if (isCompacted(error)) return "unknown";
    throw RouterError.from(error);
  }
}
