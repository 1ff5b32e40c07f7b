// Which routes, services and backends a list call names; pure questions to a table.

import { backendRoutesListedMax } from "../limits.ts";
import { type Backend, backendKeyOf } from "../model/backend.ts";
import { invalidField } from "../model/errors.ts";
import {
  type Domain,
  parseDomain,
  parseLabels,
  parsePort,
  parseServiceName,
  type ServiceName,
} from "../model/names.ts";
import { matchKeyOf, type Route, servicesOf } from "../model/route.ts";
import type { Service } from "../model/service.ts";
import type { Table } from "../model/table.ts";
import { type Page, type PageRequest, pageOf, parsePage } from "./pages.ts";

/** All that is set must hold. */
export interface RouteFilter {
  readonly service: ServiceName | undefined;
  readonly domain: Domain | undefined;
  readonly port: number | undefined;
  readonly labels: readonly (readonly [string, string])[];
}

export interface PageFields {
  readonly pageSize: number;
  readonly pageToken: string;
}

export function parseRouteFilter(filter: Readonly<Record<string, string>>): RouteFilter {
  const { service, domain, port, ...labels } = filter;
  if (port !== undefined && !/^\d{1,5}$/.test(port)) {
    throw invalidField("filter", `port: ${JSON.stringify(port.slice(0, 80))} is not a port`);
  }
  return {
    service: service === undefined ? undefined : parseServiceName(service, "filter"),
    domain: domain === undefined ? undefined : parseDomain(domain, "filter"),
    port: port === undefined ? undefined : parsePort(Number(port), "filter"),
    labels: Object.entries(parseLabels(labels, "filter")),
  };
}

export function listRoutes(table: Table, filter: RouteFilter, fields: PageFields): Page<Route> {
  const page = parsePage(`routes ${JSON.stringify(filter)}`, fields);
  return pageOf(filtered(table, filter), page, ({ name }) => name, routeBytes);
}

/** Starts from the smallest index that the filter allows. */
function* filtered(table: Table, filter: RouteFilter): Generator<Route> {
  for (const route of candidates(table, filter)) if (passes(route, filter)) yield route;
}

function* candidates(table: Table, { service, port }: RouteFilter): Generator<Route> {
  if (port !== undefined) {
    const route = table.routeOfMatch(matchKeyOf({ kind: "tcp", port }));
    if (route !== undefined) yield route;
  } else if (service !== undefined) {
    yield* table.routesOfService(service).values();
  } else {
    yield* table.routes();
  }
}

function passes(route: Route, { service, domain, labels }: RouteFilter): boolean {
  if (service !== undefined && !servicesOf(route).includes(service)) return false;
  if (domain !== undefined && (route.match.kind !== "http" || route.match.domain !== domain)) {
    return false;
  }
  return labels.every(([key, value]) => route.labels[key] === value);
}

/** Also services that only a route or a backend names. */
export function listServices(table: Table, fields: PageFields): Page<Service> {
  const page: PageRequest = parsePage("services", fields);
  const services = table
    .serviceNames()
    .values()
    .map((name) => table.service(name) ?? { name, policy: undefined });
  return pageOf(
    services,
    page,
    ({ name }) => name,
    ({ name }) => name.length + 16,
  );
}

/** `service` undefined: of every service. */
export function listBackends(
  table: Table,
  service: ServiceName | undefined,
  fields: PageFields,
): Page<Backend> {
  const page = parsePage(`backends ${service ?? ""}`, fields);
  const backends = service === undefined ? table.backends() : table.backendsOf(service).values();
  return pageOf(backends, page, backendKeyOf, (backend) => backendBytes(table, backend));
}

function routeBytes({ name, match, service, options, labels }: Route): number {
  const text = options === undefined ? "" : JSON.stringify(options);
  const target = (service?.length ?? 0) + Buffer.byteLength(text);
  return name.length + matchKeyOf(match).length + target + labelBytes(labels) + 64;
}

/** With room for the names of its routes and the reason of its health. */
function backendBytes(table: Table, { service, address, labels }: Backend): number {
  const routes = Math.min(table.routesOfService(service).size, backendRoutesListedMax) * 65;
  return service.length + address.length + labelBytes(labels) + routes + 256;
}

/** UTF-8 takes up to three bytes for each UTF-16 unit. */
function labelBytes(labels: Readonly<Record<string, string>>): number {
  let bytes = 0;
  for (const [key, value] of Object.entries(labels)) bytes += key.length + 3 * value.length + 8;
  return bytes;
}
