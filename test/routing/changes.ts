// Changes as tests write them: short, and made by the same parsers as real ones.

import { parseAddress } from "../../src/model/address.ts";
import type { Change } from "../../src/model/change.ts";
import {
  parseDomain,
  parsePathPrefix,
  parseRouteName,
  parseServiceName,
} from "../../src/model/names.ts";
import { parseRevision, type Revision } from "../../src/model/revision.ts";
import type { RouteMatch } from "../../src/model/route.ts";
import type { Policy } from "../../src/model/service.ts";
import type { CompiledRoute } from "../../src/routing/compiled-route.ts";
import { RouteTable } from "../../src/routing/route-table.ts";

/** "app.example.com/api" or "tcp:5432". */
export function matchOf(text: string): RouteMatch {
  if (text.startsWith("tcp:")) return { kind: "tcp", port: Number(text.slice(4)) };
  const slash = text.indexOf("/");
  return {
    kind: "http",
    domain: parseDomain(slash < 0 ? text : text.slice(0, slash)),
    pathPrefix: parsePathPrefix(slash < 0 ? "" : text.slice(slash)),
  };
}

export function route(name: string, match: string, serviceName = "web", sticky = false): Change {
  return {
    kind: "route-put",
    route: {
      name: parseRouteName(name),
      match: matchOf(match),
      service: parseServiceName(serviceName),
      sticky,
      labels: {},
      revision: parseRevision(1),
      matchRevision: parseRevision(1),
      createTimeMs: 0,
      updateTimeMs: 0,
    },
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

/** With other bytes around the path, as in a real request. */
export function matchHttp(
  table: RouteTable,
  host: string,
  path: string,
): CompiledRoute | undefined {
  const bytes = encoder.encode(`GET ${path}?x=/y HTTP/1.1`);
  return table.matchHttp(host, bytes, 4, 4 + encoder.encode(path).length);
}
