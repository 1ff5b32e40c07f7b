// The lists whose entries say what this node measures: backends, and services with their status.

import type { BackendMeasure } from "../channel/messages.ts";
import type * as proto from "../gen/crosspoint/v1/router.ts";
import { type Backend, backendKeyOf } from "../model/backend.ts";
import { parseServiceName, type ServiceName } from "../model/names.ts";
import type { Service } from "../model/service.ts";
import type { System } from "../system.ts";
import { isUsable, type KnownOfBackend, renderBackendStatus } from "./backend-status.ts";
import type { Patience } from "./deadline.ts";
import { listBackends, listServices } from "./listing.ts";
import { renderService } from "./render-service.ts";
import type { Serving } from "./serving.ts";
import type { TableView } from "./table-view.ts";

/** What the checks of this node say; undefined: the backend is not checked. */
export interface Verdicts {
  verdictOf(service: string, address: string): KnownOfBackend["verdict"];
}

export interface MeasuredListParts {
  readonly view: TableView;
  readonly serving: Pick<Serving, "measure" | "loadOf">;
  readonly system: System;
  /** Absent: nothing is checked. */
  readonly health?: Verdicts;
}

export async function listBackendStatuses(
  parts: MeasuredListParts,
  request: proto.ListBackendsRequest,
  patience: Patience,
): Promise<proto.ListBackendsResponse> {
  const service = request.service === "" ? undefined : parseServiceName(request.service, "service");
  const known = await knownNow(parts, service, patience);
  // Only now: what came or went while the workers were asked is in it.
  const { table, stored } = parts.view;
  const { items, nextPageToken } = listBackends(table, service, request);
  const nowMs = parts.system.wallMs();
  const backends = items.map((backend) =>
    renderBackendStatus(backend, known(backend), {
      routes: table.routesOfService(backend.service),
      source: stored.sourceOf(backend),
      nowMs,
    }),
  );
  return { backends, nextPageToken, revision: BigInt(table.revision) };
}

export async function listServiceStatuses(
  parts: MeasuredListParts,
  request: proto.ListServicesRequest,
  patience: Patience,
): Promise<proto.ListServicesResponse> {
  const known = request.withStatus ? await knownNow(parts, undefined, patience) : undefined;
  const { items, nextPageToken } = listServices(parts.view.table, request);
  const services = items.map(renderService);
  const statuses =
    known === undefined ? [] : items.map((service) => statusOf(parts, service, known));
  return { services, nextPageToken, statuses };
}

type Known = (backend: Backend) => KnownOfBackend;

async function knownNow(
  { serving, health }: MeasuredListParts,
  service: ServiceName | undefined,
  patience: Patience,
): Promise<Known> {
  const measures = await patience.during(
    serving.measure(service, patience.signal),
    "the workers had answered",
  );
  const measureOf = new Map(
    measures.map((measure): [string, BackendMeasure] => [
      `${measure.service} ${measure.address}`,
      measure,
    ]),
  );
  return (backend) => ({
    measure: measureOf.get(backendKeyOf(backend)),
    verdict: health?.verdictOf(backend.service, backend.address),
  });
}

function statusOf(
  { view, serving }: MeasuredListParts,
  { name }: Service,
  known: Known,
): proto.ServiceStatus {
  let backends = 0;
  let backendsUsable = 0;
  let requestsInFlight = 0;
  for (const backend of view.table.backendsOf(name).values()) {
    const knownOfIt = known(backend);
    backends++;
    if (isUsable(backend, knownOfIt)) backendsUsable++;
    requestsInFlight += knownOfIt.measure?.inFlight ?? 0;
  }
  const waiting = serving.loadOf?.(name)?.waiting ?? 0;
  return { service: name, backends, backendsUsable, requestsInFlight, waiting };
}
