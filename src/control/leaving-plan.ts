// What drains and pauses do to a table: the steps of a backend that leaves, and of a service that is held.
//
// Each step is judged by what the table says at that moment, so any node may take it, and twice is as good as once.

import type { Address } from "../model/address.ts";
import type { Backend, BackendDrain } from "../model/backend.ts";
import type { Change } from "../model/change.ts";
import { RouterError, unreachable } from "../model/errors.ts";
import type { ServiceName } from "../model/names.ts";
import { withPause } from "../model/parse-service-options.ts";
import type { Service } from "../model/service.ts";
import type { Pause } from "../model/service-options.ts";
import type { Table } from "../model/table.ts";

export type LeavingDraft =
  /** No new work goes there; what is open may go on until then, in ms since the epoch. */
  | {
      readonly kind: "drain-backend";
      readonly service: ServiceName;
      readonly address: Address;
      readonly deadlineMs: number;
    }
  /** Nothing is open there any more, or it is cut now. Nothing happens unless it drains. */
  | {
      readonly kind: "end-drain";
      readonly service: ServiceName;
      readonly address: Address;
      readonly cut: number;
    }
  /** Nothing happens unless its drain has ended. */
  | {
      readonly kind: "remove-drained";
      readonly service: ServiceName;
      readonly address: Address;
    }
  | {
      readonly kind: "pause-service";
      readonly name: ServiceName;
      readonly pause: Pick<Pause, "queue" | "queueMs">;
      readonly field: string;
    }
  | { readonly kind: "resume-service"; readonly name: ServiceName; readonly field: string };

interface Planned {
  readonly action: "none" | "create" | "update" | "delete";
  readonly change?: Change;
}

const nothing: Planned = { action: "none" };

/** @param backendAt The one that the store has, or why there is none. */
export function planLeaving(
  draft: LeavingDraft,
  table: Table,
  nowMs: number,
  backendAt: (service: ServiceName, address: Address) => Backend | RouterError,
): Planned {
  if (draft.kind === "pause-service" || draft.kind === "resume-service") {
    const { name } = draft;
    const settings = table.service(name);
    if (settings === undefined && !isNamed(name, table)) throw missing(name);
    if (draft.kind === "resume-service") return planResume(name, settings);
    return planPause(name, settings, draft.pause, nowMs);
  }
  const existing = backendAt(draft.service, draft.address);
  switch (draft.kind) {
    case "drain-backend":
      if (existing instanceof RouterError) throw existing;
      return planDrain(existing, draft.deadlineMs);
    case "end-drain":
      return existing instanceof RouterError ? nothing : planDrainEnd(existing, draft.cut);
    case "remove-drained":
      return existing instanceof RouterError ? nothing : planDrainedRemoval(existing);
    default:
      return unreachable(draft);
  }
}

/** A service exists as soon as anything names it. */
function isNamed(name: ServiceName, table: Table): boolean {
  return table.routesOfService(name).size > 0 || table.backendsOf(name).size > 0;
}

function missing(name: ServiceName): RouterError {
  return new RouterError("not-found", `there is no service "${name}"`, {
    resource: { type: "service", name },
  });
}

/**
 * Of two deadlines the earlier one holds: a call that is repeated does not prolong, and whoever is in a hurry may shorten.
 * It goes when it has drained and not by a TTL: who is about to end may stop its heartbeat.
 */
function planDrain(existing: Backend, deadlineMs: number): Planned {
  const { drain: before } = existing;
  if (before?.state === "drained" || (before !== undefined && before.deadlineMs <= deadlineMs)) {
    return nothing;
  }
  const drain: BackendDrain = { state: "draining", deadlineMs };
  const backend: Backend = { ...existing, ttlMs: undefined, drain };
  return { action: "update", change: { kind: "backend-put", backend } };
}

function planDrainEnd(existing: Backend, cut: number): Planned {
  if (existing.drain?.state !== "draining") return nothing;
  const { deadlineMs } = existing.drain;
  const backend: Backend = { ...existing, drain: { state: "drained", deadlineMs, cut } };
  return { action: "update", change: { kind: "backend-put", backend } };
}

function planDrainedRemoval(existing: Backend): Planned {
  if (existing.drain?.state !== "drained") return nothing;
  const { service, address } = existing;
  return { action: "delete", change: { kind: "backend-removed", service, address } };
}

/** Paused again, it only changes its bounds. */
function planPause(
  name: ServiceName,
  settings: Service | undefined,
  { queue, queueMs }: Pick<Pause, "queue" | "queueMs">,
  nowMs: number,
): Planned {
  const before = settings?.options?.pause;
  if (before?.queue === queue && before.queueMs === queueMs) return nothing;
  const sinceMs = before?.sinceMs ?? nowMs;
  // Made for the pause, it goes with it.
  const made = settings === undefined || before?.made === true;
  const pause: Pause = { queue, queueMs, sinceMs, ...(made && { made: true }) };
  const service: Service = {
    ...(settings ?? { name, policy: undefined }),
    options: { ...settings?.options, pause },
  };
  const action = settings === undefined ? "create" : "update";
  return { action, change: { kind: "service-put", service } };
}

function planResume(name: ServiceName, settings: Service | undefined): Planned {
  const pause = settings?.options?.pause;
  if (settings === undefined || pause === undefined) return nothing;
  if (pause.made === true) return { action: "delete", change: { kind: "service-removed", name } };
  const { options, ...plain } = settings;
  const rest = withPause(options, undefined);
  const service: Service = rest === undefined ? plain : { ...plain, options: rest };
  return { action: "update", change: { kind: "service-put", service } };
}
