// What the calls need of the table that this node follows: a port, so that they are tested without a store's watch.

import type { Discovery } from "../discovery/discovery.ts";
import type { Backend } from "../model/backend.ts";
import type { Snapshot } from "../model/change.ts";
import type { RouteName } from "../model/names.ts";
import type { Revision } from "../model/revision.ts";
import type { MatchKey, Route } from "../model/route.ts";
import type { Table } from "../model/table.ts";
import type { RejectedEntry } from "../store/store.ts";

export interface TableView {
  /** What serves. Patched in place as changes arrive: decide within one turn, or read `revision` again. */
  readonly table: Table;
  /** What the store holds, where that is something else. */
  readonly stored: StoredEntries;
  /** Routes of the store that cannot serve beside the others. */
  readonly rejected: readonly RejectedEntry[];
  readonly discoveries: readonly Discovery[];
  /** Grows when revisions are counted anew, from a lower one: an operator accepted another store. */
  readonly era: number;
  /** What keeps this node from following the store by itself, beside the store's own condition. */
  readonly failure: FollowFailure | undefined;
  /** Settles once `table.revision` is at least `revision`, or when `signal` aborts. */
  reached(revision: Revision, signal: AbortSignal): Promise<void>;
}

export interface FollowFailure {
  readonly cause: string;
  /** ms since the epoch. */
  readonly sinceMs: number;
}

/**
 * The content of the store, in the words of the table that serves. They differ in routes of which two want one
 * match (set-aside.ts), and in backends that only discovery names (discovered-backends.ts).
 */
export interface StoredEntries {
  /** The route of this name, whether it serves or waits for its match. */
  route(name: RouteName): Route | undefined;
  /** The routes that want this match: the one that serves, then who waits, in their order. */
  claimants(match: MatchKey): readonly Route[];
  /** Where a backend was found that the store does not have: "etcd:/services/web/1". */
  sourceOf(backend: Pick<Backend, "service" | "address">): string | undefined;
  snapshot(): Snapshot;
}

/** Of a table that serves exactly what the store holds. */
export function storedAsServed(table: Table): StoredEntries {
  return {
    route: (name) => table.route(name),
    claimants(match) {
      const route = table.routeOfMatch(match);
      return route === undefined ? [] : [route];
    },
    sourceOf: () => undefined,
    snapshot: () => table.snapshot(),
  };
}
