// Whether a list is believed: the rules that keep a wiped, restored or replaced etcd from taking routes away.
//
// Pure. A list is held when it shows a sign of a lost past AND taking it would remove or change something
// that serves. Explicit delete events of an unbroken watch are proof and never come here. The signs:
//
//   another store's marker, or none where there was one
//   nothing that serves, and neither a marker nor the past proves that this is the same store
//   another cluster id
//   a revision behind one that was seen
//   another past: see `contradicts`, and the witness
//
// A key that was written before our position and that we lack is no sign: a lost event looks the same
// (etcd 3.4.23 has them). The witness tells the two apart: our newest key, read as of its own revision.

import type { HoldFinding, StoreIdentity } from "./followed.ts";
import type { Witness } from "./witness.ts";

export interface Ours {
  /** undefined: nothing was followed yet. */
  readonly clusterId: string | undefined;
  /** The newest that any answer named. */
  readonly headerRevision: number;
  readonly identity: StoreIdentity | undefined;
  /** Keys that serve. */
  readonly serving: number;
}

export interface Theirs {
  readonly clusterId: string;
  readonly revision: number;
  readonly identity: StoreIdentity | undefined;
  readonly serving: number;
  /** Of the keys that serve: what taking the list would do. */
  readonly removed: number;
  readonly changed: number;
  readonly added: number;
  /** A key whose two versions cannot have one past. */
  readonly contradiction: string | undefined;
  readonly witness: Witness;
}

export interface Case {
  readonly ours: Ours;
  readonly theirs: Theirs;
  /** A watch showed how the marker went or became another's: then the marker alone decides. */
  readonly markerLost: boolean;
  /** For people: "http://10.0.0.5:2379 /crosspoint/". */
  readonly name: string;
}

/** `anew`: revisions of before say nothing about this store. */
export type Verdict = { readonly anew: boolean } & (
  | {
      readonly kind: "take";
      /** What was odd about it, though it takes nothing away. */
      readonly sign: string | undefined;
    }
  | { readonly kind: "hold"; readonly finding: HoldFinding; readonly detail: string }
);

interface Sign {
  readonly finding: HoldFinding;
  readonly text: string;
}

export function judge(one: Case): Verdict {
  const { ours, theirs } = one;
  const anew = startsAnew(one);
  if (ours.clusterId === undefined || replacesOurs(one)) {
    return { kind: "take", anew, sign: undefined };
  }
  const sign = signOf(one);
  if (sign === undefined) return { kind: "take", anew, sign: undefined };
  const loses = theirs.removed + theirs.changed > 0 || (one.markerLost && isMarkerLost(one));
  if (ours.serving === 0 || !loses) return { kind: "take", anew, sign: sign.text };
  return { kind: "hold", anew, finding: sign.finding, detail: detailOf(one, sign.text) };
}

function startsAnew({ ours, theirs }: Case): boolean {
  if (ours.clusterId === undefined) return false;
  if (theirs.clusterId !== ours.clusterId || theirs.revision < ours.headerRevision) return true;
  return theirs.witness === "other" || theirs.contradiction !== undefined;
}

/** An operator's word, written into the store itself. */
function replacesOurs({ ours, theirs }: Case): boolean {
  if (ours.identity === undefined || theirs.identity === undefined) return false;
  if (theirs.identity.id === ours.identity.id) return false;
  return theirs.identity.replaces.includes(ours.identity.id);
}

function isMarkerLost({ ours, theirs }: Case): boolean {
  return ours.identity !== undefined && theirs.identity?.id !== ours.identity.id;
}

function signOf(one: Case): Sign | undefined {
  const { ours, theirs } = one;
  if (isMarkerLost(one) && theirs.identity !== undefined) {
    return replaced("it holds another store: its marker has another id");
  }
  if (isEmpty(one)) {
    return { finding: "wiped", text: `nothing is there (revision ${theirs.revision})` };
  }
  if (theirs.clusterId !== ours.clusterId) {
    const text = `it is another etcd cluster (${theirs.clusterId}, was ${ours.clusterId})`;
    if (ours.identity === undefined || theirs.identity === undefined) return replaced(text);
    return restored(`${text} that holds a copy of this store`);
  }
  if (theirs.revision < ours.headerRevision) {
    return restored(`its revision went back from ${ours.headerRevision} to ${theirs.revision}`);
  }
  if (theirs.witness === "other") return restored("its past is not the one that was followed");
  if (theirs.contradiction !== undefined) {
    return restored(`its past is another one: see the key ${theirs.contradiction}`);
  }
  if (isMarkerLost(one)) {
    return { finding: "wiped", text: "the marker of the store is gone or cannot be read" };
  }
  return undefined;
}

/** Nothing serves, and nothing proves that it was this store that became empty. */
function isEmpty({ ours, theirs }: Case): boolean {
  if (theirs.serving > 0) return false;
  if (ours.identity !== undefined) return theirs.identity === undefined;
  const sameStore = theirs.clusterId === ours.clusterId && theirs.revision >= ours.headerRevision;
  return !(sameStore && theirs.witness === "same");
}

function replaced(text: string): Sign {
  return { finding: "replaced", text };
}

function restored(text: string): Sign {
  return { finding: "restored", text };
}

/** For an operator: what was found, what happens meanwhile, what to do. */
function detailOf({ name, ours, theirs }: Case, sign: string): string {
  const { removed, changed, added } = theirs;
  return (
    `${name}: ${sign}. Taking it would remove ${removed}, change ${changed} and add ${added} entries; ` +
    `the ${ours.serving} that were known go on serving. Put the right data back, ` +
    "or take what is there with: crosspoint store accept"
  );
}
