// Routes as proto3 JSON of crosspoint.v1; see etcd-values for what is common to all entries.
//
// `matchSince` is ours and not in the proto: since when a route has its match, written when that is older than the
// entry itself. It counts only beside the match that it names, so that an edited copy of a route inherits nothing.

import {
  type Conditions,
  type ConditionsWish,
  parseConditions,
  type ValueCondition,
} from "../model/conditions.ts";
import { invalidField, unreachable } from "../model/errors.ts";
import {
  parseDomain,
  parseExactPath,
  parseLabels,
  parsePathPrefix,
  parsePort,
  parseServiceName,
} from "../model/names.ts";
import { parseOptions } from "../model/parse-options.ts";
import { parseRevision, type Revision } from "../model/revision.ts";
import { type HttpMatch, matchKeyOf, type Route, type RouteMatch } from "../model/route.ts";
import { checkTarget } from "../model/route-target.ts";
import { type JsonFields, parseJsonFields } from "./etcd-json.ts";
import { encodedOptions, optionsWish } from "./etcd-route-options.ts";
import type { EntryFacts, PlaceOf } from "./etcd-values.ts";
import { agree, decodedTime, encodedLabels, encodedTime } from "./etcd-words.ts";

export function encodeRoute(route: Route): string {
  const { match, sticky, labels, options, createTimeMs, updateTimeMs, matchRevision } = route;
  return JSON.stringify({
    ...encodedMatch(match),
    service: route.service,
    ...(sticky ? { sticky } : {}),
    ...(options === undefined ? {} : encodedOptions(options)),
    ...encodedLabels(labels),
    ...encodedTime("createTime", createTimeMs),
    ...encodedTime("updateTime", updateTimeMs),
    ...(matchRevision === 0
      ? {}
      : { matchSince: { match: matchKeyOf(match), revision: String(matchRevision) } }),
  });
}

/** Throws "invalid-argument" naming the fields and what is wrong with them. */
export function decodeRoute(text: string, { name }: PlaceOf<"route">, facts: EntryFacts): Route {
  const fields = parseJsonFields(text);
  agree(fields, "name", fields.text("name"), name);
  const match = decodedMatch(fields);
  const service = fields.text("service") ?? "";
  const sticky = fields.flag("sticky");
  const labels = fields.texts("labels");
  const wish = optionsWish(fields);
  // Output of the API that a hand may have copied: what etcd says counts.
  fields.integer("revision");
  const matchRevision = matchSince(fields, match, facts.revision);
  const createTimeMs = decodedTime(fields, "createTime");
  const updateTimeMs = decodedTime(fields, "updateTime");
  // Who misspells a field shall hear of that, and not that the right one is missing.
  fields.refuseOthers();
  const options = parseOptions(wish, "");
  const route: Route = {
    name,
    match,
    service: service === "" ? undefined : parseServiceName(service),
    sticky,
    labels: parseLabels(labels),
    ...(options === undefined ? {} : { options }),
    revision: facts.revision,
    matchRevision,
    createTimeMs,
    updateTimeMs,
  };
  checkTarget(route, "");
  return route;
}

function encodedMatch(match: RouteMatch): object {
  switch (match.kind) {
    case "http":
      return { http: encodedHttpMatch(match) };
    case "tcp":
      return { tcp: { port: match.port } };
    default:
      return unreachable(match);
  }
}

function encodedHttpMatch({ domain, pathPrefix, exactPath, when }: HttpMatch): object {
  return {
    domain,
    ...(pathPrefix === "/" ? {} : { pathPrefix }),
    ...(exactPath === undefined ? {} : { path: exactPath }),
    ...(when === undefined ? {} : encodedConditions(when)),
  };
}

function encodedConditions({ methods, headers, query }: Conditions): object {
  return {
    ...(methods.length === 0 ? {} : { methods }),
    ...(headers.length === 0 ? {} : { headers: headers.map(encodedCondition) }),
    ...(query.length === 0 ? {} : { query: query.map(encodedCondition) }),
  };
}

function encodedCondition({ name, op, value }: ValueCondition): object {
  switch (op) {
    case "exact":
      return { name, exact: value };
    case "prefix":
      return { name, prefix: value };
    case "present":
      return { name, present: true };
    case "absent":
      return { name, present: false };
    default:
      return unreachable(op);
  }
}

function decodedMatch(fields: JsonFields): RouteMatch {
  const http = fields.object("http");
  const tcp = fields.object("tcp");
  if (http !== undefined && tcp !== undefined) {
    throw invalidField("match", "http and tcp are both there: a route has one of them");
  }
  if (http !== undefined) return decodedHttpMatch(http);
  if (tcp === undefined) throw invalidField("match", "one of http and tcp is required");
  const port = tcp.integer("port") ?? 0;
  tcp.refuseOthers();
  return { kind: "tcp", port: parsePort(port, "tcp.port") };
}

function decodedHttpMatch(http: JsonFields): HttpMatch {
  const domain = http.text("domain") ?? "";
  const pathPrefix = http.text("pathPrefix") ?? "";
  const path = http.text("path") ?? "";
  const wish: ConditionsWish = {
    methods: http.textList("methods"),
    headers: http.objects("headers").map(decodedCondition),
    query: http.objects("query").map(decodedCondition),
  };
  http.refuseOthers();
  if (path !== "" && pathPrefix !== "") {
    throw invalidField("http.pathPrefix", "and path exclude each other: name one of them");
  }
  const when = parseConditions(wish, "http");
  return {
    kind: "http",
    domain: parseDomain(domain, "http.domain"),
    pathPrefix: parsePathPrefix(pathPrefix, "http.pathPrefix"),
    ...(path === "" ? {} : { exactPath: parseExactPath(path, "http.path") }),
    ...(when === undefined ? {} : { when }),
  };
}

/** A oneof lies flat in proto3 JSON; none of it is present. */
function decodedCondition(fields: JsonFields): ValueCondition {
  const name = fields.text("name") ?? "";
  const exact = fields.text("exact");
  const prefix = fields.text("prefix");
  const present = fields.has("present") ? fields.flag("present") : undefined;
  fields.refuseOthers();
  if ([exact, prefix, present].filter((value) => value !== undefined).length > 1) {
    throw invalidField(fields.path("name"), "has more than one of exact, prefix and present");
  }
  if (exact !== undefined) return { name, op: "exact", value: exact };
  if (prefix !== undefined) return { name, op: "prefix", value: prefix };
  return { name, op: present === false ? "absent" : "present", value: "" };
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
