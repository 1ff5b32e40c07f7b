// What a list of changes comes to: for everything that it names, the last word about it.
//
// Looking at the outcome only makes the order within one change irrelevant: two routes may swap
// their domains, and a backend that is removed and put again keeps what was measured.

import type { Address } from "../model/address.ts";
import type { Backend } from "../model/backend.ts";
import type { Change } from "../model/change.ts";
import { unreachable } from "../model/errors.ts";
import type { RouteName, ServiceName } from "../model/names.ts";
import type { Route } from "../model/route.ts";
import type { Service } from "../model/service.ts";

/** undefined: removed. */
export interface NetChange {
  readonly routes: ReadonlyMap<RouteName, Route | undefined>;
  readonly services: ReadonlyMap<ServiceName, Service | undefined>;
  readonly backends: ReadonlyMap<ServiceName, Map<Address, Backend | undefined>>;
}

export function netChangeOf(changes: readonly Change[]): NetChange {
  const routes = new Map<RouteName, Route | undefined>();
  const services = new Map<ServiceName, Service | undefined>();
  const backends = new Map<ServiceName, Map<Address, Backend | undefined>>();
  const backendsOf = (service: ServiceName): Map<Address, Backend | undefined> => {
    let ofService = backends.get(service);
    if (ofService === undefined) backends.set(service, (ofService = new Map()));
    return ofService;
  };
  for (const change of changes) {
    switch (change.kind) {
      case "route-put":
        routes.set(change.route.name, change.route);
        break;
      case "route-removed":
        routes.set(change.name, undefined);
        break;
      case "service-put":
        services.set(change.service.name, change.service);
        break;
      case "service-removed":
        services.set(change.name, undefined);
        break;
      case "backend-put":
        backendsOf(change.backend.service).set(change.backend.address, change.backend);
        break;
      case "backend-removed":
        backendsOf(change.service).set(change.address, undefined);
        break;
      default:
        unreachable(change);
    }
  }
  return { routes, services, backends };
}
