// Routes, services and backends as proto3 JSON of crosspoint.v1, so that a hand can read and write them with
// etcdctl; written here by hand, since a store does not know the API's generated code.
//
// What the key says may be left out of the value; where it is there it must agree. A field that this version does
// not know sets the entry aside: half a route served is worse than its last good version served on.
//
// `matchSince` is ours and not in the proto: since when a route has its match, written when that is older than the
// entry itself. It counts only beside the match that it names, so that an edited copy of a route inherits nothing.

import { parseAddress } from "../model/address.ts";
import { type Backend, backendWeightDefault, backendWeightMax } from "../model/backend.ts";
import { invalidField, unreachable } from "../model/errors.ts";
import {
  parseDomain,
  parseLabels,
  parsePathPrefix,
  parsePort,
  parseServiceName,
} from "../model/names.ts";
import { parseRevision, type Revision } from "../model/revision.ts";
import { matchKeyOf, type Route, type RouteMatch } from "../model/route.ts";
import { Policy, ProxyProtocol, type Service } from "../model/service.ts";
import { type JsonFields, parseJsonFields } from "./etcd-json.ts";
import type { EntryPlace } from "./etcd-layout.ts";

type PlaceOf<Kind extends EntryPlace["kind"]> = Extract<EntryPlace, { readonly kind: Kind }>;

/** What etcd itself knows of an entry. */
export interface EntryFacts {
  /** When it was last written. */
  readonly revision: Revision;
  /** It goes when its lease ends. */
  readonly leased: boolean;
}

export function encodeRoute(route: Route): string {
  const { match, sticky, labels, createTimeMs, updateTimeMs, matchRevision } = route;
  return JSON.stringify({
    ...encodedMatch(match),
    service: route.service,
    ...(sticky ? { sticky } : {}),
    ...encodedLabels(labels),
    ...encodedTime("createTime", createTimeMs),
    ...encodedTime("updateTime", updateTimeMs),
    ...(matchRevision === 0
      ? {}
      : { matchSince: { match: matchKeyOf(match), revision: String(matchRevision) } }),
  });
}

/** Throws "invalid-argument" naming the field and what is wrong with it. */
export function decodeRoute(text: string, { name }: PlaceOf<"route">, facts: EntryFacts): Route {
  const fields = parseJsonFields(text);
  agree(fields, "name", fields.text("name"), name);
  const match = decodedMatch(fields);
  const sticky = fields.flag("sticky");
  if (sticky && match.kind === "tcp") {
    throw invalidField("sticky", "works with cookies, which TCP routes do not have");
  }
  // Output of the API that a hand may have copied: what etcd says counts.
  fields.integer("revision");
  const route: Route = {
    name,
    match,
    service: parseServiceName(fields.text("service") ?? ""),
    sticky,
    labels: parseLabels(fields.texts("labels")),
    revision: facts.revision,
    matchRevision: matchSince(fields, match, facts.revision),
    createTimeMs: decodedTime(fields, "createTime"),
    updateTimeMs: decodedTime(fields, "updateTime"),
  };
  fields.refuseOthers();
  return route;
}

export function encodeService({ policy, proxyProtocol }: Service): string {
  return JSON.stringify({
    ...(policy === undefined ? {} : { policy: policyNames[policy] }),
    ...(proxyProtocol === undefined ? {} : { proxyProtocol: proxyProtocolNames[proxyProtocol] }),
  });
}

/** Throws as `decodeRoute`. */
export function decodeService(text: string, { name }: PlaceOf<"service">): Service {
  const fields = parseJsonFields(text);
  agree(fields, "name", fields.text("name"), name);
  const policy = decodedChoice(fields, "policy", "policy", policies);
  const proxyProtocol = decodedChoice(fields, "proxyProtocol", "PROXY protocol", proxyProtocols);
  if (fields.has("healthCheck")) {
    throw invalidField("healthCheck", "active health checks are not built yet: leave it out");
  }
  fields.refuseOthers();
  return { name, policy, ...(proxyProtocol === undefined ? {} : { proxyProtocol }) };
}

export function encodeBackend({ weight, labels, ttlMs }: Backend): string {
  return JSON.stringify({
    ...(weight === backendWeightDefault ? {} : { weight }),
    ...encodedLabels(labels),
    ...(ttlMs === undefined ? {} : { ttl: `${ttlMs / 1000}s` }),
  });
}

/** Throws as `decodeRoute`. Without a lease nothing ends the backend, so it has no TTL whatever the value says. */
export function decodeBackend(
  text: string,
  { service, address }: PlaceOf<"backend">,
  { leased }: EntryFacts,
): Backend {
  const fields = parseJsonFields(text);
  agree(fields, "service", fields.text("service"), service);
  const written = fields.text("address");
  agree(fields, "address", written === undefined ? undefined : parseAddress(written), address);
  const weight = fields.integer("weight") ?? 0;
  if (weight < 0 || weight > backendWeightMax) {
    throw invalidField("weight", `${weight} is not a weight (1 to ${backendWeightMax})`);
  }
  const labels = parseLabels(fields.texts("labels"));
  const ttlMs = decodedDuration(fields, "ttl");
  fields.refuseOthers();
  return {
    service,
    address,
    weight: weight === 0 ? backendWeightDefault : weight,
    labels,
    ttlMs: leased ? ttlMs : undefined,
  };
}

function agree(fields: JsonFields, name: string, written: string | undefined, ofKey: string): void {
  if (written === undefined || written === "" || written === ofKey) return;
  const shown = JSON.stringify(written.slice(0, 80).toWellFormed());
  throw invalidField(fields.path(name), `${shown} disagrees with the key, which says "${ofKey}"`);
}

function encodedMatch(match: RouteMatch): object {
  switch (match.kind) {
    case "http": {
      const { domain, pathPrefix } = match;
      return { http: pathPrefix === "/" ? { domain } : { domain, pathPrefix } };
    }
    case "tcp":
      return { tcp: { port: match.port } };
    default:
      return unreachable(match);
  }
}

function decodedMatch(fields: JsonFields): RouteMatch {
  const http = fields.object("http");
  const tcp = fields.object("tcp");
  if (http !== undefined && tcp !== undefined) {
    throw invalidField("match", "http and tcp are both there: a route has one of them");
  }
  if (http !== undefined) {
    // Who misspells a field shall hear of that, and not that the right one is missing.
    const domain = http.text("domain") ?? "";
    const pathPrefix = http.text("pathPrefix") ?? "";
    http.refuseOthers();
    return {
      kind: "http",
      domain: parseDomain(domain, "http.domain"),
      pathPrefix: parsePathPrefix(pathPrefix, "http.pathPrefix"),
    };
  }
  if (tcp === undefined) throw invalidField("match", "one of http and tcp is required");
  const port = tcp.integer("port") ?? 0;
  tcp.refuseOthers();
  return { kind: "tcp", port: parsePort(port, "tcp.port") };
}

function matchSince(fields: JsonFields, match: RouteMatch, revision: Revision): Revision {
  const since = fields.object("matchSince");
  if (since === undefined) return revision;
  const of = since.text("match");
  const written = since.integer("revision") ?? 0;
  since.refuseOthers();
  const counts = of === matchKeyOf(match) && written > 0 && written <= revision;
  return counts ? parseRevision(written) : revision;
}

function encodedLabels(labels: Route["labels"]): object {
  return Object.keys(labels).length === 0 ? {} : { labels };
}

const policyNames: Readonly<Record<Policy, string>> = {
  [Policy.Random]: "POLICY_RANDOM",
  [Policy.RoundRobin]: "POLICY_ROUND_ROBIN",
  [Policy.LeastLoaded]: "POLICY_LEAST_LOADED",
};
/** By their numbers in crosspoint.v1.Policy; undefined: not set. */
const policies: readonly (readonly [string, Policy | undefined])[] = [
  ["POLICY_UNSPECIFIED", undefined],
  [policyNames[Policy.Random], Policy.Random],
  [policyNames[Policy.RoundRobin], Policy.RoundRobin],
  [policyNames[Policy.LeastLoaded], Policy.LeastLoaded],
];

const proxyProtocolNames: Readonly<Record<ProxyProtocol, string>> = {
  [ProxyProtocol.V1]: "PROXY_PROTOCOL_V1",
  [ProxyProtocol.V2]: "PROXY_PROTOCOL_V2",
};
/** By their numbers in crosspoint.v1.ProxyProtocol; undefined: none is sent. */
const proxyProtocols: readonly (readonly [string, ProxyProtocol | undefined])[] = [
  ["PROXY_PROTOCOL_UNSPECIFIED", undefined],
  [proxyProtocolNames[ProxyProtocol.V1], ProxyProtocol.V1],
  [proxyProtocolNames[ProxyProtocol.V2], ProxyProtocol.V2],
];

/** One of `choices` by its name or number; `noun` is what they are. */
function decodedChoice<T>(
  fields: JsonFields,
  field: string,
  noun: string,
  choices: readonly (readonly [string, T])[],
): T | undefined {
  const written = fields.choice(field) ?? 0;
  const found = choices.find(([name], number) => written === name || written === number);
  if (found !== undefined) return found[1];
  const names = choices.map(([name]) => name).join(", ");
  const shown = JSON.stringify(String(written).slice(0, 60).toWellFormed());
  throw invalidField(field, `${shown} is not a ${noun} that this version knows (${names})`);
}

/** 0: never told. */
function encodedTime(name: string, timeMs: number): object {
  return timeMs === 0 ? {} : { [name]: new Date(timeMs).toISOString() };
}

/** RFC 3339, from the year 1 on (google.protobuf.Timestamp), to the millisecond; 0 when there is none. */
function decodedTime(fields: JsonFields, name: string): number {
  const text = fields.text(name);
  if (text === undefined) return 0;
  const timeMs = timePattern.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(timeMs)) {
    const shown = JSON.stringify(text.slice(0, 60));
    throw invalidField(fields.path(name), `${shown} is not a time such as 2026-01-31T12:00:00Z`);
  }
  return timeMs;
}

const timePattern = /^(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;

/** google.protobuf.Duration: "10s", "1.5s"; rounded up to a whole ms. */
function decodedDuration(fields: JsonFields, name: string): number | undefined {
  const text = fields.text(name);
  if (text === undefined) return undefined;
  const [, seconds = "", fraction = ""] = /^(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(text) ?? [];
  const ms = Number(seconds) * 1000 + Math.ceil(Number(fraction.padEnd(9, "0")) / 1e6);
  if (seconds !== "" && ms > 0) return ms;
  const shown = JSON.stringify(text.slice(0, 60));
  throw invalidField(fields.path(name), `${shown} is not a time that passes, such as "10s"`);
}
