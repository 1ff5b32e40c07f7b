// Keeps a table consistent whatever the store holds: two routes with one match cannot both serve, so
// the later one is set aside with its reason, and taken up again when the other one goes.
//
// The API never lets such a pair in; a hand that writes to the store can. Pure: no store, no clock.

import type { Change, ChangeSet } from "../model/change.ts";
import type { RouteName } from "../model/names.ts";
import { matchKeyOf, matchText, type Route } from "../model/route.ts";
import type { Table } from "../model/table.ts";

/** An entry that the store holds and this node does not serve. */
export interface SetAsideRoute {
  readonly key: string;
  readonly reason: string;
}

export class SetAside {
  readonly #routes = new Map<RouteName, { readonly route: Route; readonly holder: RouteName }>();

  get entries(): readonly SetAsideRoute[] {
    return [...this.#routes].map(([name, { route, holder }]) => ({
      key: `routes/${name}`,
      reason: `${matchText(route.match)} belongs to route ${holder}; remove one of the two`,
    }));
  }

  /** What of `changeSet` may be applied to `table`, with what it makes room for. */
  admit(table: Table, changeSet: ChangeSet): ChangeSet {
    // Nearly every change: nothing is set aside, and no route in it meets another.
    const final = new Map<RouteName, Route | undefined>();
    for (const change of changeSet.changes) {
      if (change.kind === "route-put") final.set(change.route.name, change.route);
      else if (change.kind === "route-removed") final.set(change.name, undefined);
    }
    if (final.size === 0) return changeSet;
    for (const name of final.keys()) this.#routes.delete(name);
    const refused = this.#refuse(table, final);
    const admitted = changeSet.changes.filter(
      (change) => change.kind !== "route-put" || !refused.has(change.route.name),
    );
    return { ...changeSet, changes: [...admitted, ...this.#takeUp(table, final)] };
  }

  #refuse(table: Table, final: Map<RouteName, Route | undefined>): ReadonlySet<RouteName> {
    const claimed = new Map<string, RouteName>();
    const refused = new Set<RouteName>();
    for (const [name, route] of final) {
      if (route === undefined) continue;
      const key = matchKeyOf(route.match);
      const holder = claimed.get(key) ?? holderAfter(table, final, key, name);
      if (holder === undefined) claimed.set(key, name);
      else {
        refused.add(name);
        this.#routes.set(name, { route, holder });
      }
    }
    // What is refused is not there afterwards: its old self stays, or nothing.
    for (const name of refused) final.delete(name);
    return refused;
  }

  /** Routes whose match came free. */
  #takeUp(table: Table, final: Map<RouteName, Route | undefined>): Change[] {
    const taken: Change[] = [];
    for (const [name, { route }] of this.#routes) {
      const key = matchKeyOf(route.match);
      const inSet = [...final.values()].some(
        (one) => one !== undefined && matchKeyOf(one.match) === key,
      );
      if (inSet || holderAfter(table, final, key, name) !== undefined) continue;
      this.#routes.delete(name);
      final.set(name, route);
      taken.push({ kind: "route-put", route });
    }
    return taken;
  }
}

/** Another route that has this match in the table and keeps it through the change. */
function holderAfter(
  table: Table,
  final: ReadonlyMap<RouteName, Route | undefined>,
  key: ReturnType<typeof matchKeyOf>,
  name: RouteName,
): RouteName | undefined {
  const holder = table.routeOfMatch(key);
  if (holder === undefined || holder.name === name) return undefined;
  if (!final.has(holder.name)) return holder.name;
  const after = final.get(holder.name);
  return after !== undefined && matchKeyOf(after.match) === key ? holder.name : undefined;
}
