// Keeps a table consistent whatever the store holds: two routes with one match cannot both serve, so
// one is set aside with its reason, and taken up when its match comes free.
//
// The API never lets such a pair in; a hand that writes to the store can. Who serves a match keeps it;
// of two that come at once the earlier revision gets it, then the smaller name. A route whose new
// version is set aside serves as it did before, until it is removed or its match comes free.
// Pure: no store, no clock.

import type { Change, ChangeSet } from "../model/change.ts";
import type { RouteName } from "../model/names.ts";
import { type MatchKey, matchKeyOf, matchText, type Route } from "../model/route.ts";
import type { Table } from "../model/table.ts";

/** An entry that the store holds and this node does not serve. */
export interface SetAsideRoute {
  readonly key: string;
  readonly reason: string;
}

/** Why a route waits: its holder serves the match. */
interface Waiting {
  readonly route: Route;
  readonly holder: RouteName;
}

export class SetAside {
  #waiting: ReadonlyMap<RouteName, Waiting> = new Map();

  get entries(): readonly SetAsideRoute[] {
    return [...this.#waiting].map(([name, { route, holder }]) => ({
      key: `routes/${name}`,
      reason: `${matchText(route.match)} belongs to route ${holder}; remove one of the two`,
    }));
  }

  /** Forgets all: the next ChangeSet names whatever the store holds and the table does not. */
  clear(): void {
    this.#waiting = new Map();
  }

  /**
   * What of `changeSet` may be applied to `table`, with what it makes room for. To be called for every
   * ChangeSet in order; the answer must then be applied.
   */
  admit(table: Table, changeSet: ChangeSet): ChangeSet {
    const named = lastOfEach(changeSet.changes);
    if (named.size === 0) return changeSet;
    const candidates = new Map(named);
    for (const [name, { route }] of this.#waiting) {
      if (!candidates.has(name)) candidates.set(name, route);
    }
    const waiting = new Claims(table, candidates).refuse();
    const changes = changeSet.changes.filter((change) => {
      const name = routeNamedBy(change);
      return name === undefined || !waiting.has(name);
    });
    for (const [name, { route }] of this.#waiting) {
      if (!named.has(name) && !waiting.has(name)) changes.push({ kind: "route-put", route });
    }
    this.#waiting = waiting;
    return { ...changeSet, changes };
  }
}

/** Who gets which match when all `candidates` want theirs at once; undefined: wants none any more. */
class Claims {
  readonly #table: Table;
  readonly #candidates: ReadonlyMap<RouteName, Route | undefined>;
  readonly #refused = new Map<RouteName, Waiting>();

  constructor(table: Table, candidates: ReadonlyMap<RouteName, Route | undefined>) {
    this.#table = table;
    this.#candidates = candidates;
  }

  /** Whoever is refused keeps what it serves, which may take a match from another: so until nothing changes. */
  refuse(): ReadonlyMap<RouteName, Waiting> {
    const wishes = [...this.#candidates.values()]
      .filter((route) => route !== undefined)
      .toSorted(earlierFirst);
    while (this.#refuseServed(wishes) || this.#refuseLater(wishes)) {
      // Each turn refuses at least one more.
    }
    return this.#refused;
  }

  /** Those whose match another route serves and goes on serving. */
  #refuseServed(wishes: readonly Route[]): boolean {
    let found = false;
    for (const route of wishes) {
      const holder = this.#holderOf(matchKeyOf(route.match), route.name);
      if (holder === undefined || this.#refused.get(route.name)?.holder === holder) continue;
      this.#refused.set(route.name, { route, holder });
      found = true;
    }
    return found;
  }

  /** Those whose match an earlier one of the candidates gets. */
  #refuseLater(wishes: readonly Route[]): boolean {
    const first = new Map<MatchKey, RouteName>();
    let found = false;
    for (const route of wishes) {
      if (this.#refused.has(route.name)) continue;
      const key = matchKeyOf(route.match);
      const holder = first.get(key);
      if (holder === undefined) first.set(key, route.name);
      else {
        this.#refused.set(route.name, { route, holder });
        found = true;
      }
    }
    return found;
  }

  /** Another route that serves this match and does not give it up. */
  #holderOf(key: MatchKey, name: RouteName): RouteName | undefined {
    const holder = this.#table.routeOfMatch(key);
    if (holder === undefined || holder.name === name) return undefined;
    if (!this.#candidates.has(holder.name) || this.#refused.has(holder.name)) return holder.name;
    const wish = this.#candidates.get(holder.name);
    return wish !== undefined && matchKeyOf(wish.match) === key ? holder.name : undefined;
  }
}

/** What each named route is in the end; undefined: removed. */
function lastOfEach(changes: readonly Change[]): Map<RouteName, Route | undefined> {
  const last = new Map<RouteName, Route | undefined>();
  for (const change of changes) {
    if (change.kind === "route-put") last.set(change.route.name, change.route);
    else if (change.kind === "route-removed") last.set(change.name, undefined);
  }
  return last;
}

function routeNamedBy(change: Change): RouteName | undefined {
  if (change.kind === "route-put") return change.route.name;
  return change.kind === "route-removed" ? change.name : undefined;
}

function earlierFirst(a: Route, b: Route): number {
  return a.revision - b.revision || (a.name < b.name ? -1 : 1);
}
