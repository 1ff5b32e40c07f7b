// All routes of a worker, compiled for matching, patched in place by changes.
//
// Knows: which route a request matches, and keeps what was measured of backends across changes.
// Does not know: connections, listeners, the store, the time. The revision is a label for people: several
// changes may have the same, and whether a change fits is for its owner to know (worker-loop.ts).
//
// A change comes in two steps, so that it is whole within one turn of the event loop: `prepare` does
// everything that can fail and touches nothing, `apply` cannot fail. Both cost as much as the change
// names, whatever the size of the table.

import type { Change } from "../model/change.ts";
import { ChurnMap } from "../model/churn-map.ts";
import { assert, RouterError } from "../model/errors.ts";
import type { RouteName } from "../model/names.ts";
import { type Revision, revisionZero } from "../model/revision.ts";
import { type MatchKey, matchKeyOf, matchText, type Route, servicesOf } from "../model/route.ts";
import type { Endpoint } from "./backend-state.ts";
import { CompiledRoute } from "./compiled-route.ts";
import { DomainIndex, type RequestPlace } from "./domain-index.ts";
import { type ExplainQuestionLike, explainHttp, explainTcp } from "./explain.ts";
import type { RoutingExplanation } from "./explain-outcome.ts";
import { type NetChange, netChangeOf } from "./net-change.ts";
import type { RequestFacts } from "./request-facts.ts";
import { RoutesByName } from "./routes-by-name.ts";
import { ServiceRegistry } from "./service-registry.ts";
import type { ServiceState, ServiceWatcher } from "./service-state.ts";

/** A change that was checked against the table and may now be applied, once, before any other. */
export interface PreparedChange {
  readonly revision: Revision;
  /** TCP ports that have a route afterwards and had none before. */
  readonly tcpPortsAdded: readonly number[];
  /** TCP ports that had a route before and have none afterwards. */
  readonly tcpPortsRemoved: readonly number[];
  /** Makes the change. Answers the addresses that no backend has any more: close what idles there. */
  apply(): readonly Endpoint[];
}

export class RouteTable {
  #revision: Revision = revisionZero;
  /** Changes applied: tells a prepared change that it is not the next one. */
  #edits = 0;
  readonly #routes = new RoutesByName();
  readonly #domains = new DomainIndex();
  readonly #byPort = new ChurnMap<number, CompiledRoute>();
  readonly #registry: ServiceRegistry;

  /** A new table, made piece by piece while another one serves. */
  static build(watcher?: ServiceWatcher): TableBuilder {
    const table = new RouteTable(watcher);
    let finished = false;
    return {
      add(changes) {
        assert(!finished, "a finished table is changed by prepare()");
        table.#apply(table.#check(changes), revisionZero);
      },
      finish(revision, previous) {
        assert(!finished, "a table is finished once");
        finished = true;
        table.#revision = revision;
        if (previous !== undefined) table.#registry.adopt(previous.#registry);
        table.#registry.serve();
        return table;
      },
    };
  }

  private constructor(watcher: ServiceWatcher | undefined) {
    this.#registry = new ServiceRegistry(watcher);
  }

  get revision(): Revision {
    return this.#revision;
  }
  get routeCount(): number {
    return this.#routes.size;
  }
  service(name: string): ServiceState | undefined {
    return this.#registry.get(name);
  }
  services(): IterableIterator<ServiceState> {
    return this.#registry.services();
  }
  endpoints(): IterableIterator<Endpoint> {
    return this.#registry.endpoints();
  }

  /**
   * Checks a whole change, whose order within does not matter. Throws "already-exists" when two
   * routes would have the same match and "failed-precondition" when `revision` is older than the
   * table's; then the table is as it was. Removing what is not there is harmless.
   */
  prepare(changes: readonly Change[], revision: Revision): PreparedChange {
    if (revision < this.#revision) {
      throw new RouterError(
        "failed-precondition",
        `revision ${revision} cannot follow ${this.#revision}: a table only moves forward`,
      );
    }
    const net = this.#check(changes);
    const base = this.#edits;
    return {
      revision,
      ...this.#portsMoved(net),
      apply: () => {
        assert(this.#edits === base, "a prepared change is applied once, before any other");
        return this.#apply(net, revision);
      },
    };
  }

  /**
   * The route for a request, or undefined.
   *
   * @param bytes Hold host and path where `place` says.
   * @param facts What conditions are asked of; asked only of routes that have some.
   */
  matchHttp(
    bytes: Uint8Array,
    place: RequestPlace,
    facts: RequestFacts,
  ): CompiledRoute | undefined {
    return this.#domains.match(bytes, place, facts);
  }

  matchTcp(port: number): CompiledRoute | undefined {
    return this.#byPort.get(port);
  }

  /** Every candidate and why it lost, the most specific first, then the backend a request would get. */
  explain(question: ExplainQuestionLike, random: () => number): RoutingExplanation {
    return question.kind === "http"
      ? explainHttp(this.#domains, question, random)
      : explainTcp(this.#byPort.get(question.port), question.port, random);
  }

  #check(changes: readonly Change[]): NetChange {
    const net = netChangeOf(changes);
    const claimed = new Map<MatchKey, RouteName>();
    for (const route of net.routes.values()) {
      if (route === undefined) continue;
      const key = matchKeyOf(route.match);
      const rival = claimed.get(key) ?? this.#holderAfter(net, route);
      if (rival !== undefined) throw conflict(route, rival);
      claimed.set(key, route.name);
    }
    return net;
  }

  /** The route that has this match in the table, if the change does not name it. */
  #holderAfter(net: NetChange, { match }: Route): RouteName | undefined {
    const holder =
      match.kind === "tcp" ? this.#byPort.get(match.port) : this.#domains.holder(match);
    // What the change says of the holder itself, `claimed` knows.
    return holder === undefined || net.routes.has(holder.name) ? undefined : holder.name;
  }

  #portsMoved(net: NetChange): { tcpPortsAdded: number[]; tcpPortsRemoved: number[] } {
    const before = new Set<number>();
    const after = new Set<number>();
    for (const [name, route] of net.routes) {
      const port = this.#routes.get(name)?.port;
      if (port !== undefined) before.add(port);
      if (route?.match.kind === "tcp") after.add(route.match.port);
    }
    return {
      tcpPortsAdded: [...after.difference(before)],
      tcpPortsRemoved: [...before.difference(after)],
    };
  }

  #apply(net: NetChange, revision: Revision): readonly Endpoint[] {
    // All old matches go before the first new one comes: routes may swap theirs.
    const old: CompiledRoute[] = [];
    for (const name of net.routes.keys()) {
      const compiled = this.#routes.get(name);
      if (compiled === undefined) continue;
      old.push(compiled);
      this.#unplace(compiled);
    }
    for (const [name, route] of net.routes) {
      if (route === undefined) this.#routes.delete(name);
      else this.#place(this.#compile(route), route);
    }
    for (const { services } of old) for (const each of services) this.#registry.release(each);
    for (const [name, settings] of net.services) this.#registry.configure(name, settings);
    for (const [name, wanted] of net.backends) this.#registry.editBackends(name, wanted);
    this.#revision = revision;
    this.#edits++;
    return this.#registry.sweep();
  }

  #compile(route: Route): CompiledRoute {
    if (route.options === undefined) {
      return new CompiledRoute(route, (name) => this.#registry.retain(name));
    }
    const states = new Map(servicesOf(route).map((name) => [name, this.#registry.retain(name)]));
    return new CompiledRoute(route, (name) => {
      const state = states.get(name);
      assert(state !== undefined, "a route is compiled with the services that it names");
      return state;
    });
  }

  #place(compiled: CompiledRoute, { match }: Route): void {
    this.#routes.set(compiled);
    if (match.kind === "tcp") this.#byPort.set(match.port, compiled);
    else this.#domains.put(match, compiled);
  }

  #unplace(compiled: CompiledRoute): void {
    const { match } = compiled;
    if (match.kind === "tcp") this.#byPort.delete(match.port);
    else this.#domains.remove(match, compiled);
  }
}

/** Makes a table in pieces, so that no turn of the event loop is long. */
export interface TableBuilder {
  /** Throws as `prepare` does; a builder that threw is of no further use. */
  add(changes: readonly Change[]): void;
  /**
   * Ends the table. It takes over the Endpoints and BackendStates of `previous`, which must not be
   * changed afterwards; requests that still hold routes of it choose from the new backends. An
   * Endpoint of `previous` that nothing uses any more has 0 `users` then.
   */
  finish(revision: Revision, previous?: RouteTable): RouteTable;
}

function conflict(route: Route, rival: RouteName): RouterError {
  return new RouterError(
    "already-exists",
    `routes "${rival}" and "${route.name}" both match ${matchText(route.match)}: change or remove one`,
    { resource: { type: "route", name: rival, description: matchText(route.match) } },
  );
}
