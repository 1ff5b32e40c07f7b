// Routes, services and backends for tests, in few characters.

import { parseAddress } from "../../src/model/address.ts";
import type { Backend } from "../../src/model/backend.ts";
import type { Change, ChangeSet } from "../../src/model/change.ts";
import {
  parseDomain,
  parsePathPrefix,
  parseRouteName,
  parseServiceName,
} from "../../src/model/names.ts";
import { parseRevision } from "../../src/model/revision.ts";
import type { Route } from "../../src/model/route.ts";

/** "app.example.com" as an HTTP route, 5432 as a TCP route. */
export function routeOf(name: string, match: string | number, service = "web"): Route {
  return {
    name: parseRouteName(name),
    match:
      typeof match === "number"
        ? { kind: "tcp", port: match }
        : { kind: "http", domain: parseDomain(match), pathPrefix: parsePathPrefix("/") },
    service: parseServiceName(service),
    sticky: false,
    labels: {},
    revision: parseRevision(0),
    matchRevision: parseRevision(0),
    createTimeMs: 0,
    updateTimeMs: 0,
  };
}

export function backendOf(service: string, address: string, weight = 100): Backend {
  return {
    service: parseServiceName(service),
    address: parseAddress(address),
    weight,
    labels: {},
    ttlMs: undefined,
  };
}

export const putRoute = (name: string, match: string | number, service?: string): Change => ({
  kind: "route-put",
  route: routeOf(name, match, service),
});

export const removeRoute = (name: string): Change => ({
  kind: "route-removed",
  name: parseRouteName(name),
});

export function changeSetOf(revision: number, ...changes: readonly Change[]): ChangeSet {
  return { revision: parseRevision(revision), changes };
}
