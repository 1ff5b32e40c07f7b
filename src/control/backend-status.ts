// What this node knows of a backend, put together for ListBackends: what the table says of it, what its checks found, what its
// workers measured and whether they leave it out.

import type { BackendMeasure, CheckVerdict } from "../channel/messages.ts";
import * as proto from "../gen/crosspoint/v1/router.ts";
import { backendRoutesListedMax } from "../limits.ts";
import type { Backend } from "../model/backend.ts";
import type { ReadonlyChurnMap } from "../model/churn-map.ts";
import { latencyPercentileMs } from "../model/latency-buckets.ts";
import type { RouteName } from "../model/names.ts";
import { renderBackend } from "./render.ts";

/** What is known of a backend beside the table's entry. */
export interface KnownOfBackend {
  /** Undefined: no worker has said anything. */
  readonly measure: BackendMeasure | undefined;
  /** Undefined: it is not checked. */
  readonly verdict: Pick<CheckVerdict, "state" | "reason"> | undefined;
}

/** Whether requests are sent there while others are good. */
export function isUsable(backend: Backend, { measure, verdict }: KnownOfBackend): boolean {
  return (
    backend.drain === undefined && verdict?.state !== "unhealthy" && measure?.ejection === undefined
  );
}

/**
 * @param more.source Where it was discovered; undefined: the store has it.
 * @param more.nowMs ms since the epoch.
 */
export function renderBackendStatus(
  backend: Backend,
  known: KnownOfBackend,
  more: {
    readonly routes: ReadonlyChurnMap<RouteName, unknown>;
    readonly source: string | undefined;
    readonly nowMs: number;
  },
): proto.BackendStatus {
  const { measure } = known;
  const latencies = measure?.latencies ?? noLatencies;
  return {
    backend: renderBackend(backend),
    health: healthOf(backend, known),
    healthReason: reasonOf(backend, known),
    source: more.source ?? "api",
    requestsInFlight: measure?.inFlight ?? 0,
    requestsTotal: BigInt(measure?.total ?? 0),
    failuresTotal: BigInt(measure?.failures ?? 0),
    routes: [...more.routes.keys().take(backendRoutesListedMax)].toSorted(),
    ...(measure?.ejection === undefined
      ? {}
      : { ejectedUntil: new Date(more.nowMs + measure.ejection.forMs) }),
    ejectionsTotal: measure?.ejections ?? 0,
    latencyP50Ms: latencyPercentileMs(latencies, 0.5),
    latencyP90Ms: latencyPercentileMs(latencies, 0.9),
    latencyP99Ms: latencyPercentileMs(latencies, 0.99),
    lastFailure: measure?.lastFailure ?? "",
    connectionsOpen: measure?.connectionsOpen ?? 0,
  };
}

const noLatencies = new Uint32Array(0);

const healths = {
  unknown: proto.Health.UNSPECIFIED,
  healthy: proto.Health.HEALTHY,
  unhealthy: proto.Health.UNHEALTHY,
} as const;

/** Who leaves does so whatever its checks say. */
function healthOf({ drain }: Backend, { verdict }: KnownOfBackend): proto.Health {
  return drain === undefined ? healths[verdict?.state ?? "unknown"] : proto.Health.DRAINING;
}

/** All that keeps requests from it; and else what its checks say. */
function reasonOf({ drain }: Backend, { measure, verdict }: KnownOfBackend): string {
  const reasons: string[] = [];
  if (drain !== undefined) {
    const until = new Date(drain.deadlineMs).toISOString();
    reasons.push(drain.state === "drained" ? "drained" : `draining until ${until}`);
  }
  if (measure?.ejection !== undefined) reasons.push(`ejected: ${measure.ejection.reason}`);
  if (verdict === undefined) {
    if (reasons.length === 0) reasons.push("not checked");
  } else if (verdict.state === "unhealthy" || reasons.length === 0) {
    reasons.push(verdict.state === "unknown" ? "not checked yet" : verdict.reason);
  }
  return reasons.join("; ");
}
