// What a set of changes does to a table: the conflicts, the difference, the resulting Changes.
//
// What is in the way is judged by what the store holds: a route that waits for its match is there and can be
// removed, and a match that only a leftover serves (set-aside.ts) is free. Of backends only those of the store
// count: another node may discover others.
//
// Pure: reads the table within one turn, writes nothing, binds nothing. Only the outcome counts, so
// two routes may swap their matches, and a service may go together with its last route.

import type { Address } from "../model/address.ts";
import { type Backend, type BackendKey, backendKeyOf, sameBackend } from "../model/backend.ts";
import type { Change } from "../model/change.ts";
import { invalidField, RouterError } from "../model/errors.ts";
import type { Labels, RouteName, ServiceName } from "../model/names.ts";
import { stillPaused } from "../model/parse-service-options.ts";
import { revisionZero } from "../model/revision.ts";
import {
  deriveRouteName,
  type MatchKey,
  matchKeyOf,
  matchText,
  type Route,
  type RouteMatch,
  sameLabels,
  servicesOf,
  targetText,
} from "../model/route.ts";
import { type RouteOptions, sameOptions } from "../model/route-options.ts";
import { type Service, sameService } from "../model/service.ts";
import type { Table } from "../model/table.ts";
import { type LeavingDraft, planLeaving } from "./leaving-plan.ts";
import type { StoredEntries } from "./table-view.ts";

/** A route as a caller wants it. */
export interface RouteDraft {
  /** "create" refuses to change what exists; "put" makes it so. */
  readonly mode: "create" | "put";
  /** undefined: from the match. */
  readonly name: RouteName | undefined;
  /** A TCP port of 0: any free one. */
  readonly match: RouteMatch;
  readonly service: ServiceName | undefined;
  readonly sticky: boolean;
  readonly labels: Labels;
  readonly options?: RouteOptions;
  /** The proto path, for messages. */
  readonly field: string;
}

export type ChangeDraft =
  | { readonly kind: "put-route"; readonly route: RouteDraft }
  | { readonly kind: "remove-route"; readonly name: RouteName; readonly field: string }
  | { readonly kind: "put-service"; readonly service: Service; readonly field: string }
  | { readonly kind: "remove-service"; readonly name: ServiceName; readonly field: string }
  | { readonly kind: "put-backend"; readonly backend: Backend }
  | { readonly kind: "remove-backend"; readonly service: ServiceName; readonly address: Address }
  | LeavingDraft;

/** What one draft comes to. */
export interface Step {
  readonly action: "none" | "create" | "update" | "delete";
  /** Of a route that existed. */
  readonly before?: Route;
  /** Of a route that exists afterwards. */
  readonly after?: Route;
  /** undefined: nothing to write, or a port is still to be allocated (see `open`). */
  readonly change?: Change;
  /** The route needs a port; its name follows from the port when `unnamed`. */
  readonly open?: { readonly unnamed: boolean };
  /** The identical backend is registered again: renew its TTL. */
  readonly renew?: BackendKey;
}

/** Throws "already-exists", "not-found", "failed-precondition" or "invalid-argument". */
export function planChanges(
  wanted: readonly ChangeDraft[],
  table: Table,
  nowMs: number,
  stored: StoredEntries,
): Step[] {
  const drafts = wanted.map((draft) => settlePort(draft, stored));
  const names = drafts.map((draft) => nameOf(draft, stored));
  const plan = new Plan(drafts, names, { table, stored }, nowMs);
  return drafts.map((draft, index) => plan.step(draft, index));
}

/** A TCP route that exists keeps its port unless another one is asked for. */
function settlePort(draft: ChangeDraft, stored: StoredEntries): ChangeDraft {
  if (draft.kind !== "put-route" || !isOpen(draft.route.match)) return draft;
  const { name } = draft.route;
  const match = name === undefined ? undefined : stored.route(name)?.match;
  return match?.kind === "tcp" ? { kind: "put-route", route: { ...draft.route, match } } : draft;
}

/** The name of the route that a draft is about; undefined for others, and before a port is known. */
function nameOf(draft: ChangeDraft, stored: StoredEntries): RouteName | undefined {
  if (draft.kind === "remove-route") return draft.name;
  if (draft.kind !== "put-route") return undefined;
  const { name, match, mode } = draft.route;
  if (name !== undefined) return name;
  if (isOpen(match)) return undefined;
  const [holder] = stored.claimants(matchKeyOf(match));
  if (holder !== undefined && (mode === "put" || sameWish(holder, draft.route))) return holder.name;
  return deriveRouteName(match);
}

class Plan {
  readonly #drafts: readonly ChangeDraft[];
  readonly #names: readonly (RouteName | undefined)[];
  readonly #table: Table;
  readonly #stored: StoredEntries;
  readonly #nowMs: number;
  readonly #routesTouched = new Set<RouteName>();
  readonly #servicesTouched = new Set<ServiceName>();
  readonly #matches = new Map<MatchKey, string>();

  constructor(
    drafts: readonly ChangeDraft[],
    names: readonly (RouteName | undefined)[],
    { table, stored }: { readonly table: Table; readonly stored: StoredEntries },
    nowMs: number,
  ) {
    this.#drafts = drafts;
    this.#names = names;
    this.#table = table;
    this.#stored = stored;
    this.#nowMs = nowMs;
    for (const [index, draft] of drafts.entries()) this.#touch(draft, names[index]);
  }

  step(draft: ChangeDraft, index: number): Step {
    switch (draft.kind) {
      case "put-route":
        return this.#putRoute(draft.route, this.#names[index]);
      case "remove-route":
        return this.#removeRoute(draft.name);
      case "put-service":
        return this.#putService(draft.service);
      case "remove-service":
        return this.#removeService(draft.name);
      case "put-backend":
        return this.#putBackend(draft.backend);
      case "remove-backend":
        return this.#removeBackend(draft.service, draft.address);
      default:
        return planLeaving(draft, this.#table, this.#nowMs, (service, address) => {
          const backend = this.#storedBackend(service, address);
          return backend ?? this.#noBackend(service, address);
        });
    }
  }

  /** Naming one thing twice in a request has no meaning. */
  #touch(draft: ChangeDraft, name: RouteName | undefined): void {
    if (name !== undefined) {
      const field = draft.kind === "put-route" ? `${draft.route.field}.name` : fieldOf(draft);
      if (this.#routesTouched.has(name)) throw twice(field, `route "${name}"`);
      this.#routesTouched.add(name);
    }
    if (draft.kind === "put-service" || draft.kind === "remove-service") {
      const service = draft.kind === "put-service" ? draft.service.name : draft.name;
      const field = draft.kind === "put-service" ? `${draft.field}.name` : draft.field;
      if (this.#servicesTouched.has(service)) throw twice(field, `service "${service}"`);
      this.#servicesTouched.add(service);
    }
    if (draft.kind === "put-route" && !isOpen(draft.route.match)) {
      const key = matchKeyOf(draft.route.match);
      const other = this.#matches.get(key);
      if (other !== undefined) {
        throw invalidField(
          `${draft.route.field}.${draft.route.match.kind}`,
          `${other} has the same match ${matchText(draft.route.match)}`,
        );
      }
      this.#matches.set(key, draft.route.field);
    }
  }

  #putRoute(draft: RouteDraft, name: RouteName | undefined): Step {
    const existing = name === undefined ? undefined : this.#stored.route(name);
    this.#checkRival(draft, existing);
    if (existing !== undefined && sameWish(existing, draft)) {
      return { action: "none", before: existing, after: existing };
    }
    if (existing !== undefined && !mayChange(existing, draft)) throw nameTaken(existing, draft);
    const { match } = draft;
    const open = isOpen(match) ? { unnamed: name === undefined } : undefined;
    const after: Route = {
      name: name ?? deriveRouteName(match),
      match,
      service: draft.service,
      sticky: draft.sticky,
      labels: draft.labels,
      ...(draft.options === undefined ? {} : { options: draft.options }),
      revision: revisionZero,
      matchRevision: hasMatch(existing, match) ? existing.matchRevision : revisionZero,
      createTimeMs: existing?.createTimeMs ?? this.#nowMs,
      updateTimeMs: this.#nowMs,
    };
    return {
      action: existing === undefined ? "create" : "update",
      ...(existing === undefined ? {} : { before: existing }),
      after,
      ...(open === undefined ? { change: { kind: "route-put", route: after } } : { open }),
    };
  }

  /**
   * A match belongs to one route, unless its holder gives it up in the same request; then to who has waited
   * for it longest. The holder keeps it, whoever waits.
   */
  #checkRival(draft: RouteDraft, existing: Route | undefined): void {
    if (isOpen(draft.match)) return;
    // In the order in which they would serve; a new one comes last.
    const holder = this.#stored
      .claimants(matchKeyOf(draft.match))
      .find(({ name }) => name === existing?.name || !this.#routesTouched.has(name));
    if (holder === undefined || holder.name === existing?.name) return;
    const text = matchText(draft.match);
    throw new RouterError(
      "already-exists",
      `${draft.field}.${draft.match.kind}: route "${holder.name}" already has ${text}, for ${targetText(holder)}; remove it or change it with ApplyChanges`,
      {
        reason: "MATCH_TAKEN",
        resource: { type: "route", name: holder.name, description: `has ${text}` },
        metadata: { route: holder.name, match: text, service: holder.service ?? "" },
      },
    );
  }

  #removeRoute(name: RouteName): Step {
    const before = this.#stored.route(name);
    if (before === undefined) throw missing("route", name);
    return { action: "delete", before, change: { kind: "route-removed", name } };
  }

  #putService(wanted: Service): Step {
    const existing = this.#table.service(wanted.name);
    const service = stillPaused(wanted, existing);
    if (existing !== undefined && sameService(existing, service)) return { action: "none" };
    const action = existing === undefined ? "create" : "update";
    return { action, change: { kind: "service-put", service } };
  }

  #removeService(name: ServiceName): Step {
    const user = this.#userOf(name);
    if (user !== undefined) {
      const [type = "", ...rest] = user.split(" ");
      throw new RouterError(
        "failed-precondition",
        `service "${name}" is still used by ${type} "${rest.join(" ")}": remove that first`,
        {
          reason: "SERVICE_IN_USE",
          resource: { type, name: rest.join(" "), description: `uses service "${name}"` },
          metadata: { service: name },
        },
      );
    }
    if (this.#table.service(name) === undefined) {
      // Its last route goes in this very request, and the service with it.
      if (this.#table.routesOfService(name).size > 0) return { action: "none" };
      throw missing("service", name);
    }
    return { action: "delete", change: { kind: "service-removed", name } };
  }

  /** "route web" or "backend 10.0.0.7:80" that names the service once the request is done. */
  #userOf(service: ServiceName): string | undefined {
    for (const route of this.#table.routesOfService(service).keys()) {
      const stored = this.#stored.route(route);
      const leftOver = stored === undefined || !servicesOf(stored).includes(service);
      if (!leftOver && !this.#routesTouched.has(route)) return `route ${route}`;
    }
    for (const [index, draft] of this.#drafts.entries()) {
      if (draft.kind === "put-route" && servicesOf(draft.route).includes(service)) {
        return `route ${this.#names[index] ?? draft.route.field}`;
      }
    }
    for (const backend of this.#table.backendsOf(service).values()) {
      if (this.#stored.sourceOf(backend) === undefined) return `backend ${backend.address}`;
    }
    return undefined;
  }

  #putBackend(wanted: Backend): Step {
    const existing = this.#storedBackend(wanted.service, wanted.address);
    // One that leaves goes on leaving, as it is.
    const backend = existing?.drain === undefined ? wanted : existing;
    const change = { kind: "backend-put", backend } as const;
    if (existing === undefined) return { action: "create", change };
    if (!sameBackend(existing, backend))
      return { action: "update", change: aged(change, existing) };
    if (backend.ttlMs === undefined) return { action: "none" };
    return { action: "none", renew: backendKeyOf(backend), change };
  }

  #removeBackend(service: ServiceName, address: Address): Step {
    if (this.#storedBackend(service, address) === undefined) {
      throw this.#noBackend(service, address);
    }
    return { action: "delete", change: { kind: "backend-removed", service, address } };
  }

  #noBackend(service: ServiceName, address: Address): RouterError {
    const source = this.#stored.sourceOf({ service, address });
    return source === undefined
      ? missing("backend", `${service} ${address}`)
      : discovered(service, address, source);
  }

  #storedBackend(service: ServiceName, address: Address): Backend | undefined {
    const backend = this.#table.backendsOf(service).get(address);
    if (backend === undefined || this.#stored.sourceOf(backend) !== undefined) return undefined;
    return backend;
  }
}

/** A backend that changes is as old as it was. */
function aged(
  change: Extract<Change, { readonly kind: "backend-put" }>,
  { joined = revisionZero }: Backend,
): Change {
  return { ...change, backend: { ...change.backend, joined } };
}

function isOpen(match: RouteMatch): boolean {
  return match.kind === "tcp" && match.port === 0;
}

function hasMatch(route: Route | undefined, match: RouteMatch): route is Route {
  return route !== undefined && matchKeyOf(route.match) === matchKeyOf(match);
}

/** A name that was only derived from a match never leads to a route with another match. */
function mayChange(existing: Route, draft: RouteDraft): boolean {
  if (draft.mode === "create") return false;
  return draft.name !== undefined || matchKeyOf(existing.match) === matchKeyOf(draft.match);
}

/** The route already is as the draft wants it. */
function sameWish(route: Route, draft: RouteDraft): boolean {
  return (
    matchKeyOf(route.match) === matchKeyOf(draft.match) &&
    route.service === draft.service &&
    route.sticky === draft.sticky &&
    sameOptions(route.options, draft.options) &&
    sameLabels(route.labels, draft.labels)
  );
}

function nameTaken(existing: Route, draft: RouteDraft): RouterError {
  const text = matchText(existing.match);
  return new RouterError(
    "already-exists",
    `${draft.field}.name: route "${existing.name}" exists and differs: it leads ${text} to ${targetText(existing)}; choose another name, or change it with ApplyChanges`,
    {
      reason: "NAME_TAKEN",
      resource: { type: "route", name: existing.name, description: `has ${text}` },
      metadata: { route: existing.name, match: text, service: existing.service ?? "" },
    },
  );
}

function discovered(service: ServiceName, address: Address, source: string): RouterError {
  return new RouterError(
    "failed-precondition",
    `backend "${address}" of service "${service}" was not registered here but discovered: remove it where it comes from, ${source}`,
    {
      reason: "DISCOVERED",
      resource: { type: "backend", name: `${service} ${address}`, description: source },
      metadata: { service, address, source },
    },
  );
}

function missing(type: string, name: string): RouterError {
  return new RouterError("not-found", `there is no ${type} "${name}"`, {
    resource: { type, name },
  });
}

function twice(field: string, what: string): RouterError {
  return invalidField(field, `${what} is named twice in this request`);
}

function fieldOf(draft: ChangeDraft): string {
  if (draft.kind === "put-route") return draft.route.field;
  return "field" in draft ? draft.field : "";
}
