// The services and upstream addresses of one table: made when something names them, forgotten when
// nothing does.
//
// Who counts as naming a service: routes (routeCount), backends, settings. Who counts as naming an
// Endpoint: backends (users). Within one change things may lose their last user and gain another, so
// nothing is forgotten before `sweep`, the last step of every change.

import type { Address } from "../model/address.ts";
import type { Backend } from "../model/backend.ts";
import { ChurnMap } from "../model/churn-map.ts";
import type { ServiceName } from "../model/names.ts";
import type { Service } from "../model/service.ts";
import { BackendState, Endpoint, type Standing } from "./backend-state.ts";
import { ServiceState, type ServiceWatcher, unwatched } from "./service-state.ts";
import { isEjected } from "./usable-backends.ts";

export class ServiceRegistry {
  readonly #services = new ChurnMap<string, ServiceState>();
  readonly #endpoints = new ChurnMap<string, Endpoint>();
  readonly #watcher: ServiceWatcher;
  /** Its table is whole: who joins from now on is new, and not only new here. */
  #isServing = false;
  /** What lost a user in the change under way. */
  #doubtfulServices: ServiceState[] = [];
  #doubtfulEndpoints: Endpoint[] = [];

  constructor(watcher: ServiceWatcher = unwatched) {
    this.#watcher = watcher;
  }

  get(name: string): ServiceState | undefined {
    return this.#services.get(name);
  }
  services(): IterableIterator<ServiceState> {
    return this.#services.values();
  }
  endpoints(): IterableIterator<Endpoint> {
    return this.#endpoints.values();
  }

  /** A route leads there from now on. */
  retain(name: ServiceName): ServiceState {
    const service = this.#ensure(name);
    service.routeCount++;
    return service;
  }
  /** A route that led there is gone. */
  release(service: ServiceState): void {
    service.routeCount--;
    this.#doubtfulServices.push(service);
  }

  /** Undefined: its settings are gone. */
  configure(name: ServiceName, settings: Service | undefined): void {
    const service = settings === undefined ? this.get(name) : this.#ensure(name);
    if (service === undefined) return;
    service.configure(settings);
    this.#doubtfulServices.push(service);
  }

  /**
   * Puts (a Backend) and removes (undefined) backends of one service. Those that stay keep their
   * state. Uses up `wanted`.
   */
  editBackends(name: ServiceName, wanted: Map<Address, Backend | undefined>): void {
    const service = this.#ensure(name);
    this.#doubtfulServices.push(service);
    const next: BackendState[] = [];
    let differs = false;
    for (const backend of service.backends) {
      const change = wanted.get(backend.address);
      if (change === undefined && wanted.delete(backend.address)) {
        this.#remove(backend);
        differs = true;
        continue;
      }
      next.push(backend);
      if (change === undefined) continue;
      wanted.delete(backend.address);
      differs = updated(backend, change) || differs;
    }
    for (const added of wanted.values()) {
      if (added === undefined) continue;
      next.push(this.#join(service.name, added));
      differs = true;
    }
    // Copied: an array that has grown has room for 16 more, and there may be a million services.
    if (differs) service.replaceBackends([...next], this.#isServing);
  }

  /** Ends a change: forgets what nothing names any more. Answers the forgotten addresses. */
  sweep(): readonly Endpoint[] {
    for (const service of this.#doubtfulServices) {
      if (service.isUnused) this.#services.delete(service.name);
    }
    const released = new Set(this.#doubtfulEndpoints.filter((endpoint) => endpoint.users === 0));
    for (const endpoint of released) this.#endpoints.delete(endpoint.address);
    this.#doubtfulServices = [];
    this.#doubtfulEndpoints = [];
    return [...released];
  }

  /** The table is whole. */
  serve(): void {
    this.#isServing = true;
  }

  /**
   * Takes over the Endpoints and BackendStates of the registry that this one replaces, so that what
   * was measured, the pools and the requests in flight carry on. `previous` must not be changed
   * afterwards; requests that still hold its services choose from the new backends.
   */
  adopt(previous: ServiceRegistry): void {
    for (const endpoint of previous.#endpoints.values()) endpoint.users = 0;
    for (const service of this.#services.values()) {
      const known = previous.get(service.name);
      for (const backend of known?.backends ?? []) backend.removed = true;
      service.adoptBackends((own) => this.#adopted(own, known, previous), known);
      known?.succeedBy(service);
    }
    for (const service of previous.#services.values()) {
      if (service.isSucceeded) continue;
      for (const backend of service.backends) backend.removed = true;
      service.succeedBy(new ServiceState(service.name));
    }
  }

  /** What stands for `own` from now on: the state that `previous` had, or its address's Endpoint. */
  #adopted(
    own: BackendState,
    known: ServiceState | undefined,
    previous: ServiceRegistry,
  ): BackendState {
    const before = known?.backendAt(own.address);
    const endpoint = before?.endpoint ?? previous.#endpoints.get(own.address);
    if (endpoint === undefined) return own;
    endpoint.users++;
    this.#endpoints.set(endpoint.address, endpoint);
    if (before === undefined) return this.#made(own, endpoint);
    before.weight = before.share = own.weight;
    joinedAt(before, own.joined);
    standAs(before, own.standing);
    before.removed = false;
    return before;
  }

  #ensure(name: ServiceName): ServiceState {
    let service = this.#services.get(name);
    if (service === undefined) {
      this.#services.set(name, (service = new ServiceState(name, this.#watcher)));
    }
    return service;
  }

  #endpoint(address: Address): Endpoint {
    let endpoint = this.#endpoints.get(address);
    if (endpoint === undefined) this.#endpoints.set(address, (endpoint = new Endpoint(address)));
    return endpoint;
  }

  #join(service: ServiceName, backend: Backend): BackendState {
    const endpoint = this.#endpoint(backend.address);
    endpoint.users++;
    const state = new BackendState(service, endpoint, backend.weight);
    updated(state, backend);
    this.#watcher.joined(state);
    return state;
  }

  /** The same membership of another Endpoint. */
  #made(own: BackendState, endpoint: Endpoint): BackendState {
    const state = new BackendState(own.service, endpoint, own.weight);
    state.joined = own.joined;
    standAs(state, own.standing);
    this.#watcher.joined(state);
    return state;
  }

  #remove(backend: BackendState): void {
    backend.removed = true;
    backend.endpoint.users--;
    this.#doubtfulEndpoints.push(backend.endpoint);
  }
}

/** Makes the state what `backend` says; whether that differs. */
function updated(state: BackendState, backend: Backend): boolean {
  const { weight, joined = 0 } = backend;
  const same = state.weight === weight && state.joined === joined;
  // What it has of its weight while it starts slowly stays.
  if (state.weight !== weight) state.weight = state.share = weight;
  joinedAt(state, joined);
  const zone = backend.labels["zone"] ?? "";
  const stood = standAs(state, { zone, draining: backend.drain !== undefined });
  return stood || !same;
}

/** One that came anew, between two looks at the table, is not to answer for the failures of the one before it. */
function joinedAt(state: BackendState, joined: number): void {
  if (state.joined !== joined && isEjected(state)) {
    state.stand({ ejectedUntilMs: 0, ejectionReason: "" });
  }
  state.joined = joined;
}

/** What the table says of it; what was learned of it stays. Whether that differs. */
function standAs(
  state: BackendState,
  { zone, draining }: Pick<Standing, "zone" | "draining">,
): boolean {
  if (state.standing.zone === zone && state.standing.draining === draining) return false;
  state.stand({ zone, draining });
  return true;
}
