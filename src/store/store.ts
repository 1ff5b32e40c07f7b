// The port behind which routes live. Implementations: memory-store, sqlite-store, etcd-store.
//
// Knows: what a store promises, for every implementation alike. Does not know: who else wants a match or
// a port (the control plane decides, then names the revision it decided on), files, networks.

import type { BackendKey } from "../model/backend.ts";
import type { Change, ChangeSet, Snapshot } from "../model/change.ts";
import type { Revision } from "../model/revision.ts";
import type { Members } from "./members.ts";
import type { SharedSealingKey } from "./shared-sealing-key.ts";

/** A request id that was used, kept with its answer so that the same call again has no second effect. */
export interface RequestRecord {
  readonly id: string;
  /** Tells "the same call again" from "the same id for something else". */
  readonly fingerprint: string;
  /** What to answer again; opaque to the store. */
  readonly answer: Uint8Array;
  readonly revision: Revision;
  /** The first revision of a write that has several; absent: it has one. */
  readonly since?: Revision;
}

/** An entry that was set aside; everything else serves. */
export interface RejectedEntry {
  /** "route web", "service web", "backend web 10.0.0.7:8080"; in etcd, the key. */
  readonly key: string;
  readonly reason: string;
}

/** One write: compared, then put, whole. */
export interface Write {
  /** The revision that the decision was based on. */
  readonly expected: Revision;
  /**
   * At least one. The store sets `route.revision` of every route-put to the new revision, and
   * `route.matchRevision` when that is 0; and `backend.joined` of a backend-put that has none. (etcd counts it from
   * the write that made the key, whatever the backend says.)
   */
  readonly changes: readonly Change[];
  readonly request?: Omit<RequestRecord, "revision" | "since">;
  /** Every node that shares the store shall report once it serves this write, within so many ms. */
  readonly ask?: { readonly waitMs: number };
}

/** How what the store hands out relates to what it holds. */
export type StoreCondition =
  | { readonly kind: "current" }
  /** It cannot be reached: what was last seen goes on, `stale` when it came from the copy on disk. */
  | {
      readonly kind: "away";
      /** ms since the epoch. */
      readonly sinceMs: number;
      readonly cause: string;
      readonly stale: boolean;
    }
  /** It answers, but what it holds would take routes away without proof that they were removed. */
  | {
      readonly kind: "held";
      /** ms since the epoch. */
      readonly sinceMs: number;
      /** "wiped": empty, or its marker is gone. "restored": an older copy. "replaced": another store. */
      readonly finding: "wiped" | "restored" | "replaced";
      /** For an operator: what was found, what happens meanwhile, what to do. */
      readonly detail: string;
      /** Entries that `accept` would take away, change and add. */
      readonly removed: number;
      readonly changed: number;
      readonly added: number;
    };

/**
 * Where routes live. All implementations pass test/store/store.contract.ts; the next must too.
 *
 * 1. `commit` resolves once the write is as durable as the store gets (SQLite: synced to disk) and
 *    visible to `read`. All its changes have one revision, larger than every earlier one; a failed
 *    commit changed nothing. (In etcd a write that is larger than a transaction is one change as well, and is then
 *    given later revisions, which change nothing else: `commit` answers the last of them.)
 * 2. `commit` rejects with "revision-conflict" (metadata `current`) unless the table is at
 *    `expected`.
 * 3. `watch(after)` yields every ChangeSet after `after`, in order, exactly once, then live ones, and
 *    ends without an error when `signal` aborts or the store closes. When `after` is no longer kept
 *    it throws "out-of-range" with metadata `oldest`, the smallest `after` that works: read, then
 *    watch again. A revision in the future throws "out-of-range" too, with metadata `current`.
 * 4. A backend with `ttlMs` is removed, in a revision of its own, `ttlMs` after the commit that put
 *    it or the last `keepAlive`. After a restart it has its full TTL again. Clock jumps expire nothing.
 * 5. `findRequest` knows the ids of the last `requestsKeptMax` writes that had one, also after a
 *    restart of a durable store; etcd knows them for `requestKeptMsMin` instead, whatever their number.
 * 6. While the store cannot be reached, or holds what is not believed, `read` and `watch` go on with what was
 *    last seen, and `condition` says so; `commit` rejects. A store that was never reached and has no copy on
 *    disk rejects `read` with "store-unavailable". Only `accept`, here or on another node, makes revisions
 *    begin anew, from a lower one: watches then end with "out-of-range", and `read` shows it.
 * 7. A commit that may or may not have been stored rejects with "store-unavailable", reason
 *    WRITE_OUTCOME_UNKNOWN; every other rejection means that nothing was stored.
 * 8. A store that cannot be reached rejects with "store-unavailable"; one that is full with
 *    "resource-exhausted"; one that holds a newer schema or garbage rejects when it is opened, with
 *    a message that names the file and what to do.
 */
export interface Store {
  /** For messages: "memory:", "sqlite:/var/lib/crosspoint/routes.db". Never holds credentials. */
  readonly name: string;
  /** Entries that are there but cannot be read: left out of `read`, gone from here once rewritten. */
  readonly rejected: readonly RejectedEntry[];
  readonly condition: StoreCondition;
  /** Differences between what was followed and the store that were found and repaired; absent: it cannot have any. */
  readonly repairsTotal?: number;
  /** The nodes that share it; undefined: a store of one node. */
  readonly members: Members | undefined;
  /** What those nodes seal with; absent: a store of one node. */
  readonly sealingKey?: SharedSealingKey;
  read(): Promise<Snapshot>;
  commit(write: Write): Promise<Revision>;
  findRequest(id: string): Promise<RequestRecord | undefined>;
  /** Renews a backend's TTL; false when there is no such backend or it has no TTL. */
  keepAlive(key: BackendKey): Promise<boolean>;
  watch(after: Revision, signal: AbortSignal): AsyncIterable<ChangeSet>;
  /** Takes what is held (see `condition`) as the new truth, for all nodes; false when nothing is held. */
  accept(): Promise<boolean>;
  /** Ends every watch. Later calls reject with "store-unavailable". */
  close(): Promise<void>;
}
