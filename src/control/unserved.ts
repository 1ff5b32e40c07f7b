// Changes that this node has and does not serve: it is at their revision all the same, for one route must not hold
// up the others. Whoever waits for such a change hears of it.
//
// A change is known by the revisions of its route: that of its last change, and the one since which it has its match.
// Pure. Does not know: why a route is not served.

import { unservedTextCharactersMax, unservedToldMax } from "../limits.ts";
import type { Revision } from "../model/revision.ts";
import { matchKeyOf, type Route } from "../model/route.ts";
import type { Table } from "../model/table.ts";
import type { Unserved } from "../store/members.ts";

/** A route that is stored and not served here. */
export interface UnservedRoute {
  readonly route: Route;
  /** "port 3100 on 0.0.0.0 is in use by another program". */
  readonly reason: () => string;
}

/** The routes of these ports. */
export function* routesOfPorts(
  table: Table,
  problems: Iterable<{ readonly port: number; readonly reason: string }>,
): Iterable<UnservedRoute> {
  for (const { port, reason } of problems) {
    const route = table.routeOfMatch(matchKeyOf({ kind: "tcp", port }));
    if (route !== undefined) yield { route, reason: () => reason };
  }
}

/** Why the change at `revision` is not served; undefined: nothing is in its way. */
export function unservedAt(
  routes: Iterable<UnservedRoute>,
  revision: Revision,
): string | undefined {
  const found: UnservedRoute[] = [];
  for (const one of routes) if (revisionsOf(one).has(revision)) found.push(one);
  return found.length === 0 ? undefined : textOf(found);
}

/** Why something that changed after `after`, and up to `revision`, is not served, as far as that was told. */
export function unservedBetween(
  told: readonly Unserved[],
  after: number,
  revision: Revision,
): string | undefined {
  const found = told.filter((one) => one.revision > after && one.revision <= revision);
  // One route may be known by two revisions.
  return found.length === 0
    ? undefined
    : [...new Set(found.map(({ reason }) => reason))].join("; ");
}

/** The newest of them, each revision once. */
export function newestUnserved(routes: Iterable<UnservedRoute>): readonly Unserved[] {
  const byRevision = new Map<Revision, UnservedRoute[]>();
  for (const one of routes) {
    for (const revision of revisionsOf(one)) {
      const found = byRevision.get(revision);
      if (found === undefined) byRevision.set(revision, [one]);
      else found.push(one);
    }
  }
  return [...byRevision]
    .toSorted(([a], [b]) => b - a)
    .slice(0, unservedToldMax)
    .map(([revision, found]) => ({ revision, reason: textOf(found) }));
}

function revisionsOf({ route }: UnservedRoute): ReadonlySet<Revision> {
  return new Set([route.revision, route.matchRevision]);
}

/** As many as fit, and the number of the others. */
function textOf(found: readonly UnservedRoute[]): string {
  let text = "";
  for (const [index, { route, reason }] of found.entries()) {
    const next = `${index === 0 ? "" : "; "}route ${route.name} is not served: ${reason()}`;
    if (index > 0 && text.length + next.length > unservedTextCharactersMax) {
      return `${text}; and ${found.length - index} more`;
    }
    text += next;
  }
  return text;
}
