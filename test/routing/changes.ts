// Changes as tests write them: short, and made by the same parsers as real ones.

import { parseAddress } from "../../src/model/address.ts";
import type { Change } from "../../src/model/change.ts";
import {
  type ConditionsWish,
  parseConditions,
  type ValueCondition,
} from "../../src/model/conditions.ts";
import {
  parseDomain,
  parseExactPath,
  parsePathPrefix,
  parseRouteName,
  parseServiceName,
} from "../../src/model/names.ts";
import { parseRevision, type Revision } from "../../src/model/revision.ts";
import type { RouteMatch } from "../../src/model/route.ts";
import type { RouteOptions } from "../../src/model/route-options.ts";
import type { Policy } from "../../src/model/service.ts";
import type { CompiledRoute } from "../../src/routing/compiled-route.ts";
import { type HttpQuestion, QuestionFacts } from "../../src/routing/question-facts.ts";
import { RouteTable } from "../../src/routing/route-table.ts";

/** "app.example.com/api", "app.example.com=/api [GET|HEAD header x-canary=1 query !v]" or "tcp:5432". */
export function matchOf(text: string): RouteMatch {
  if (text.startsWith("tcp:")) return { kind: "tcp", port: Number(text.slice(4)) };
  const [, domain, exact, path, conditions] =
    /^([^=/ ]*)(=)?([^ ]*)(?: \[(.*)\])?$/.exec(text) ?? [];
  const when = parseConditions(wishOf(conditions ?? ""), "when");
  return {
    kind: "http",
    domain: parseDomain(domain ?? ""),
    pathPrefix: parsePathPrefix(exact === undefined ? (path ?? "") : ""),
    ...(exact === undefined ? {} : { exactPath: parseExactPath(path ?? "") }),
    ...(when === undefined ? {} : { when }),
  };
}

function wishOf(text: string): ConditionsWish {
  const methods = /^[A-Z|]+/.exec(text)?.[0].split("|") ?? [];
  const valuesOf = (kind: string): ValueCondition[] =>
    [...text.matchAll(new RegExp(`\\b${kind} ([^ ]+)`, "g"))].map(([, word]) => valueOf(word!));
  return { methods, headers: valuesOf("header"), query: valuesOf("query") };
}

/** "x=1", "x=1*" (begins with), "x" (present), "!x" (absent). */
function valueOf(word: string): ValueCondition {
  if (word.startsWith("!")) return { name: word.slice(1), op: "absent", value: "" };
  const [name, value] = word.split(/=(.*)/s);
  if (value === undefined) return { name: name!, op: "present", value: "" };
  return value.endsWith("*")
    ? { name: name!, op: "prefix", value: value.slice(0, -1) }
    : { name: name!, op: "exact", value };
}

/** @param matchRevision Since when it has its match: the earlier of two that are equal otherwise is asked first. */
export function route(
  name: string,
  match: string,
  serviceName = "web",
  sticky = false,
  matchRevision = 1,
): Change {
  return {
    kind: "route-put",
    route: {
      name: parseRouteName(name),
      match: matchOf(match),
      service: parseServiceName(serviceName),
      sticky,
      labels: {},
      revision: parseRevision(1),
      matchRevision: parseRevision(matchRevision),
      createTimeMs: 0,
      updateTimeMs: 0,
    },
  };
}

/** With what a route may say beside its match and its service. */
export function routeWith(
  name: string,
  match: string,
  serviceName: string | undefined,
  options?: RouteOptions,
): Change {
  const put = route(name, match);
  if (put.kind !== "route-put") return put;
  const owner = serviceName === undefined ? undefined : parseServiceName(serviceName);
  return {
    kind: "route-put",
    route: { ...put.route, service: owner, ...(options === undefined ? {} : { options }) },
  };
}

export function routeRemoved(name: string): Change {
  return { kind: "route-removed", name: parseRouteName(name) };
}

export function service(name: string, policy?: Policy): Change {
  return { kind: "service-put", service: { name: parseServiceName(name), policy } };
}

export function serviceRemoved(name: string): Change {
  return { kind: "service-removed", name: parseServiceName(name) };
}

export function backend(serviceName: string, address: string, weight = 100): Change {
  return {
    kind: "backend-put",
    backend: {
      service: parseServiceName(serviceName),
      address: parseAddress(address),
      weight,
      labels: {},
      ttlMs: undefined,
    },
  };
}

export function backendRemoved(serviceName: string, address: string): Change {
  return {
    kind: "backend-removed",
    service: parseServiceName(serviceName),
    address: parseAddress(address),
  };
}

export const rev = (revision: number): Revision => parseRevision(revision);

export function tableOf(...changes: readonly Change[]): RouteTable {
  const builder = RouteTable.build();
  builder.add(changes);
  return builder.finish(rev(1));
}

/** Applies a change at the next revision. */
export function change(table: RouteTable, ...changes: readonly Change[]): void {
  table.prepare(changes, rev(table.revision + 1)).apply();
}

const encoder = new TextEncoder();

/** A request, or a question about one. */
export function asking(
  host: string,
  path: string,
  rest: Partial<Pick<HttpQuestion, "method" | "headers" | "clientAddress">> = {},
): HttpQuestion {
  return { kind: "http", method: "GET", host, path, headers: {}, clientAddress: "", ...rest };
}

/** With other bytes around path and host, as in a real request. */
export function matchHttp(
  table: RouteTable,
  host: string,
  target: string,
  rest: Partial<Pick<HttpQuestion, "method" | "headers">> = {},
): CompiledRoute | undefined {
  const [path, query] = target.split(/\?(.*)/s);
  const bytes = encoder.encode(`GET ${path}?${query ?? "x=/y"} HTTP/1.1\r\nHost: ${host}.X`);
  const facts = new QuestionFacts(asking(host, target, rest), query ?? "");
  const hostEnd = bytes.length - 2;
  const hostStart = hostEnd - encoder.encode(host).length;
  const place = { hostStart, hostEnd, targetStart: 4, pathEnd: 4 + encoder.encode(path).length };
  return table.matchHttp(bytes, place, facts);
}
