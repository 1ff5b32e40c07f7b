// What this worker measured of its backends, as plain data for the main thread.

import type { BackendMeasure } from "../channel/messages.ts";
import type { RouteTable } from "../routing/route-table.ts";
import type { ServiceState } from "../routing/service-state.ts";

/** Of one service, or of all. */
export function measure(table: RouteTable, service: string | undefined): BackendMeasure[] {
  if (service === undefined) return [...table.services()].flatMap(measureService);
  const state = table.service(service);
  return state === undefined ? [] : measureService(state);
}

function measureService(service: ServiceState): BackendMeasure[] {
  return service.backends.map((backend) => ({
    service: service.name,
    address: backend.endpoint.address,
    inFlight: backend.endpoint.inFlight,
    total: backend.requestsTotal,
    failures: backend.failuresTotal,
    lastFailure: backend.lastFailure,
  }));
}
