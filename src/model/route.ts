// A Route: a match (domain and path, or a port) and the Service that answers.

import { type Branded, minted } from "./brand.ts";
import { type Conditions, conditionsText } from "./conditions.ts";
import type { Domain, ExactPath, Labels, PathPrefix, RouteName, ServiceName } from "./names.ts";
import type { Revision } from "./revision.ts";
import { type RouteOptions, sameOptions } from "./route-options.ts";

export type RouteMatch = HttpMatch | { readonly kind: "tcp"; readonly port: number };

export interface HttpMatch {
  readonly kind: "http";
  readonly domain: Domain;
  /** "/" beside an exact path. */
  readonly pathPrefix: PathPrefix;
  /** This path alone. */
  readonly exactPath?: ExactPath;
  /** What else must hold; absent on most routes. */
  readonly when?: Conditions;
}

export interface Route {
  readonly name: RouteName;
  readonly match: RouteMatch;
  /** Who answers; undefined: the options say it (a split, a redirect, an answer). */
  readonly service: ServiceName | undefined;
  /** Cookie affinity; HTTP only. */
  readonly sticky: boolean;
  readonly labels: Labels;
  /** Absent on most routes. */
  readonly options?: RouteOptions;
  /** The revision that last changed this route; the store sets it. */
  readonly revision: Revision;
  /**
   * Since which revision it has this match. Of two routes that want one match, the earlier serves: the rule
   * of every node, whatever it has seen before.
   */
  readonly matchRevision: Revision;
  /** ms since the epoch. */
  readonly createTimeMs: number;
  readonly updateTimeMs: number;
}

/** Two routes with the same key are a conflict: "http app.example.com/api", "tcp 5432". */
export type MatchKey = Branded<string, "MatchKey">;

export function matchKeyOf(match: RouteMatch): MatchKey {
  if (match.kind === "tcp") return minted<MatchKey>(`tcp ${match.port}`);
  const { when } = match;
  const place = `http ${match.domain}${pathText(match)}`;
  return minted<MatchKey>(when === undefined ? place : `${place} when ${JSON.stringify(when)}`);
}

/** "/api", and "=/api" of an exact path. */
function pathText({ pathPrefix, exactPath }: HttpMatch): string {
  return exactPath === undefined ? pathPrefix : `=${exactPath}`;
}

/** As an operator writes it: "app.example.com/api", "app.example.com=/api [GET]", "tcp:5432". */
export function matchText(match: RouteMatch): string {
  if (match.kind === "tcp") return `tcp:${match.port}`;
  const path = pathText(match);
  const when = conditionsText(match.when);
  return `${match.domain}${path === "/" ? "" : path}${when === "" ? "" : ` [${when}]`}`;
}

/** Every service that the route may send anything to, each once. */
export function servicesOf({
  service,
  options,
}: Pick<Route, "service" | "options">): ServiceName[] {
  if (options === undefined) return service === undefined ? [] : [service];
  const { split = [], mirror } = options;
  const names = [service, ...split.map((share) => share.service), mirror?.service];
  return [...new Set(names.filter((name) => name !== undefined))];
}

/** Who answers, in words: "web", "web 90, web-next 10", "redirect 308", "answer 503". */
export function targetText({ service, options }: Pick<Route, "service" | "options">): string {
  const shares = options?.split?.map((share) => `${share.service} ${share.weight}`).join(", ");
  const { redirect, answer } = options ?? {};
  const own = answer === undefined ? undefined : `answer ${answer.status}`;
  const elsewhere = redirect === undefined ? undefined : `redirect ${redirect.status}`;
  return [elsewhere, own, service, shares].filter((text) => text !== undefined).join(", else ");
}

const plainPattern = /^[a-z0-9.]{1,63}$/;
/** Spelt plainly, these would be the names of TCP routes, and names with a hash. */
const takenPattern = /^tcp\.\d+$|\.[0-9a-f]{8}$/;

/**
 * The name of a route that was given none, from its match alone, so that the identical call finds
 * the identical route. "app.example.com" is "app-example-com"; where that spelling could come from
 * another match as well (a "-", a path, a wildcard, more than 63 characters, "tcp.80", an end that
 * looks like a hash) a hash is appended.
 */
export function deriveRouteName(match: RouteMatch): RouteName {
  if (match.kind === "tcp") return minted<RouteName>(`tcp-${match.port}`);
  const text = matchText(match);
  if (plainPattern.test(text) && !takenPattern.test(text)) {
    return minted<RouteName>(text.replaceAll(".", "-"));
  }
  const slug = text
    .toLowerCase()
    .replaceAll("*", "any")
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+/, "")
    .slice(0, 54)
    .replace(/-+$/, "");
  return minted<RouteName>(
    `${slug === "" ? "route" : slug}-${fnv1a32(text).toString(16).padStart(8, "0")}`,
  );
}

/** FNV-1a, 32 bits (RFC 9923); here only to tell names apart, never for safety. */
function fnv1a32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  }
  return hash;
}

/** Same in everything a user can set; revision and times do not count. */
export function sameRoute(a: Route, b: Route): boolean {
  return (
    a.name === b.name &&
    matchKeyOf(a.match) === matchKeyOf(b.match) &&
    a.service === b.service &&
    a.sticky === b.sticky &&
    sameOptions(a.options, b.options) &&
    sameLabels(a.labels, b.labels)
  );
}

export function sameLabels(a: Labels, b: Labels): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
