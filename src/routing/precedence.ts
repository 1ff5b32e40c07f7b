// Which of several routes of one domain is asked first: the rules of HttpMatch (router.proto), in their order.

import type { Conditions } from "../model/conditions.ts";
import type { CompiledRoute } from "./compiled-route.ts";

interface Rule {
  /** Below 0: `a` comes first. */
  readonly compare: (a: CompiledRoute, b: CompiledRoute) => number;
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
export function comparePrecedence(a: CompiledRoute, b: CompiledRoute): number {
  for (const { compare } of rules) {
    const difference = compare(a, b);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** For routes of one domain, the order in which they are asked: exact paths, then prefixes with the longest first; of one path by precedence. */
export function compareOrder(a: CompiledRoute, b: CompiledRoute): number {
  if (a.isExact !== b.isExact) return a.isExact ? -1 : 1;
  if (a.path.length !== b.path.length) return b.path.length - a.path.length;
  if (a.path !== b.path) return a.path < b.path ? -1 : 1;
  return comparePrecedence(a, b);
}

/** In words, why of two routes of one domain that match `winner` answers: "/api is the longer prefix". */
export function whyFirst(winner: CompiledRoute, loser: CompiledRoute): string {
  if (winner.isExact !== loser.isExact) return `${winner.path} is the exact path`;
  if (winner.path !== loser.path) return `${winner.path} is the longer prefix`;
  const rule = rules.find(({ compare }) => compare(winner, loser) < 0);
  return `route ${JSON.stringify(winner.name)} ${rule?.says ?? "is the same"}`;
}

function methodsNamed(route: CompiledRoute): number {
  return Math.min(1, countOf(route, "methods"));
}

function countOf({ when }: CompiledRoute, what: keyof Conditions): number {
  return when === undefined ? 0 : when[what].length;
}
