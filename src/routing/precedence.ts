// Which of several routes of one domain is asked first: the rules of HttpMatch (router.proto), in their order.

import type { Conditions } from "../model/conditions.ts";
import type { Route } from "../model/route.ts";
import { type CompiledRoute, isExact, pathOf } from "./compiled-route.ts";

interface Rule {
  /** Below 0: `a` comes first. */
  readonly compare: (a: Route, b: Route) => number;
  /** Why the first does, for people. */
  readonly says: string;
}

const rules: readonly Rule[] = [
  { compare: (a, b) => methodsNamed(b) - methodsNamed(a), says: "names methods" },
  {
    compare: (a, b) => countOf(b, "headers") - countOf(a, "headers"),
    says: "asks for more headers",
  },
  {
    compare: (a, b) => countOf(b, "query") - countOf(a, "query"),
    says: "asks for more query parameters",
  },
  { compare: (a, b) => a.matchRevision - b.matchRevision, says: "has had its match longer" },
  {
    compare: (a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)),
    says: "has the smaller name",
  },
];

/** For routes of one domain and path: below 0 when `a` is asked before `b`; 0 for the same route only. */
export function comparePrecedence(
  { route: a }: CompiledRoute,
  { route: b }: CompiledRoute,
): number {
  for (const { compare } of rules) {
    const difference = compare(a, b);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** In words, why of two routes of one domain that match `winner` answers: "/api is the longer prefix". */
export function whyFirst(winner: CompiledRoute, loser: CompiledRoute): string {
  if (isExact(winner) !== isExact(loser)) return `${pathOf(winner)} is the exact path`;
  if (pathOf(winner) !== pathOf(loser)) return `${pathOf(winner)} is the longer prefix`;
  const rule = rules.find(({ compare }) => compare(winner.route, loser.route) < 0);
  return `route ${JSON.stringify(winner.name)} ${rule?.says ?? "is the same"}`;
}

function methodsNamed(route: Route): number {
  return Math.min(1, countOf(route, "methods"));
}

function countOf({ match }: Route, what: keyof Conditions): number {
  return match.kind === "http" ? (match.when?.[what].length ?? 0) : 0;
}
