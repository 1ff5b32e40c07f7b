// What this worker measured of its backends, as plain data for the main thread.

import type { BackendMeasure, EjectionMeasure } from "../channel/messages.ts";
import type { BackendState } from "../routing/backend-state.ts";
import type { RouteTable } from "../routing/route-table.ts";
import type { ServiceState } from "../routing/service-state.ts";
import { isEjected } from "../routing/usable-backends.ts";

/** Of one service, or of all. */
export function measure(
  table: RouteTable,
  service: string | undefined,
  nowMs: number,
): BackendMeasure[] {
  if (service === undefined) {
    return [...table.services()].flatMap((state) => measureService(state, nowMs));
  }
  const state = table.service(service);
  return state === undefined ? [] : measureService(state, nowMs);
}

function measureService({ name, backends }: ServiceState, nowMs: number): BackendMeasure[] {
  return backends.map((backend) => {
    const { endpoint, record } = backend;
    const latencies = record?.latencies.read(nowMs);
    const ejections = record?.ejectionsTotal ?? 0;
    return {
      service: name,
      address: endpoint.address,
      inFlight: backend.inFlight,
      total: backend.requestsTotal,
      failures: record?.failuresTotal ?? 0,
      lastFailure: backend.lastFailure,
      ...(endpoint.connections === 0 ? {} : { connectionsOpen: endpoint.connections }),
      ...(ejections === 0 ? {} : { ejections }),
      ...(isEjected(backend) ? { ejection: ejectionOf(backend, nowMs) } : {}),
      ...(latencies === undefined ? {} : { latencies }),
    };
  });
}

function ejectionOf({ standing }: BackendState, nowMs: number): EjectionMeasure {
  const { ejectedUntilMs, ejectionReason } = standing;
  return { forMs: Math.max(0, ejectedUntilMs - nowMs), reason: ejectionReason };
}
