// What can happen to a table: the words of the store's history, of Watch and of the deltas.

import type { Address } from "./address.ts";
import type { Backend } from "./backend.ts";
import type { RouteName, ServiceName } from "./names.ts";
import type { Revision } from "./revision.ts";
import type { Route } from "./route.ts";
import type { Service } from "./service.ts";

export type Change =
  | { readonly kind: "route-put"; readonly route: Route }
  | { readonly kind: "route-removed"; readonly name: RouteName }
  | { readonly kind: "service-put"; readonly service: Service }
  | { readonly kind: "service-removed"; readonly name: ServiceName }
  | { readonly kind: "backend-put"; readonly backend: Backend }
  | { readonly kind: "backend-removed"; readonly service: ServiceName; readonly address: Address };

/** Everything that one write did: all of it or nothing. */
export interface ChangeSet {
  readonly revision: Revision;
  readonly changes: readonly Change[];
}

/** The complete, consistent content of a table at one revision. */
export interface Snapshot {
  readonly revision: Revision;
  readonly routes: readonly Route[];
  readonly services: readonly Service[];
  readonly backends: readonly Backend[];
}
