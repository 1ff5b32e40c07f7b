// The content of the store, told from the table that serves and from what keeps the two apart.
//
// Nothing is kept twice: a route that waits is in the set-aside, a backend that is not the store's in the
// discovered ones, and all else is in the table.

import type { Backend } from "../model/backend.ts";
import type { Snapshot } from "../model/change.ts";
import type { RouteName } from "../model/names.ts";
import type { MatchKey, Route } from "../model/route.ts";
import type { Table } from "../model/table.ts";
import type { DiscoveredBackends } from "./discovered-backends.ts";
import type { SetAside } from "./set-aside.ts";
import type { StoredEntries } from "./table-view.ts";

export class StoreContent implements StoredEntries {
  readonly #table: Table;
  readonly #setAside: SetAside;
  readonly #discovered: DiscoveredBackends;

  constructor(table: Table, setAside: SetAside, discovered: DiscoveredBackends) {
    this.#table = table;
    this.#setAside = setAside;
    this.#discovered = discovered;
  }

  route(name: RouteName): Route | undefined {
    return this.#setAside.route(name);
  }

  claimants(match: MatchKey): readonly Route[] {
    return this.#setAside.claimants(match);
  }

  sourceOf(backend: Pick<Backend, "service" | "address">): string | undefined {
    return this.#discovered.sourceOf(backend);
  }

  snapshot(): Snapshot {
    const { revision, routes, services, backends } = this.#table.snapshot();
    const waiting = [...this.#setAside.routes()];
    const names = new Set(waiting.map(({ name }) => name));
    return {
      revision,
      routes: [...routes.filter(({ name }) => !names.has(name)), ...waiting],
      services,
      backends: backends.filter((backend) => this.sourceOf(backend) === undefined),
    };
  }
}
