// What a follower of a prefix hands to its owner: a port, so that owners are tested without an etcd.

import type { Key, KeyValue } from "./etcd.ts";

/** Whole revisions, in order: never half a transaction. What a list changed comes as one batch. */
export interface FollowedBatch {
  /**
   * The newest mod revision in it of a key that counts; for a list, the newest of all keys that do. Only
   * grows, unless `anew`; stays when nothing that counts changed. Both lists below may be empty: then only
   * the revision moved on.
   */
  readonly revision: number;
  /** Another store or an older past was taken: revisions start again from here, smaller ones included. */
  readonly anew?: true;
  /** Each key at most once, and not in both: the outcome. */
  readonly puts: readonly KeyValue[];
  readonly deletes: readonly Key[];
}

/** Why a list is not believed: it would take away or change what serves, and does not prove that it may. */
export type HoldFinding =
  /** The store is empty, or its marker is gone. */
  | "wiped"
  /** Its revision went back, or its past is another one: an older backup. */
  | "restored"
  /** Another cluster, or another store under the same prefix. */
  | "replaced";

export type FollowedCondition =
  /** Neither a list nor a copy yet; `cause` says why not, once something failed. */
  | { readonly kind: "starting"; readonly cause: string | undefined }
  /** Equal to etcd but for what is on its way. */
  | { readonly kind: "current" }
  /** etcd cannot be followed; what was last seen goes on. */
  | {
      readonly kind: "away";
      readonly sinceMs: number;
      readonly cause: string;
      readonly fromCopy: boolean;
    }
  /** etcd answers, but what it holds is not believed; see `accept`. */
  | {
      readonly kind: "held";
      readonly sinceMs: number;
      readonly finding: HoldFinding;
      readonly detail: string;
      /** Keys that would go, change and come if it were taken. */
      readonly removed: number;
      readonly changed: number;
      readonly added: number;
    };

/** Receives what is followed. */
export interface FollowedOwner {
  /** Applies the batch, which is in `entries` after it; the answer names the keys of `puts` that could not be read: their last good values are kept. */
  apply(batch: FollowedBatch): ReadonlySet<Key>;
  /** `condition` changed. */
  conditionChanged?(condition: FollowedCondition): void;
  /**
   * Names the store that a set of keys is, by the marker among them; undefined: has none. `replaces` are the
   * names that it stands for by an operator's word. Absent: stores without a marker.
   */
  identityOf?(get: (key: Key) => KeyValue | undefined): StoreIdentity | undefined;
}

export interface StoreIdentity {
  readonly id: string;
  readonly replaces: readonly string[];
}

/** A prefix of an etcd, followed. */
export interface Followed {
  readonly condition: FollowedCondition;
  /** The newest revision that was handed over. */
  readonly revision: number;
  /** What was handed over, by key; for a key that could not be read, the newest value. */
  readonly entries: ReadonlyMap<Key, KeyValue>;
  /** Differences that a reconcile found and repaired. */
  readonly repairsTotal: number;
  readonly listsTotal: number;
  /** Resolves with the first content, from etcd or the copy; or when `signal` aborts. */
  started(signal: AbortSignal): Promise<void>;
  /** Resolves once `revision` was handed over, or when `signal` aborts. */
  reached(revision: number, signal: AbortSignal): Promise<void>;
  /** Takes what is held as the new truth; false when nothing is held. Rejects when etcd cannot be read. */
  accept(): Promise<boolean>;
  close(): Promise<void>;
}

/** Where a follower tells of changes of its state, each once. */
export interface FollowedLog {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
}
