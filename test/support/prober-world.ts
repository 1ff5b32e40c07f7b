// A prober in this thread, over one adapter, and what it tells.

import { onTestFinished } from "vitest";
import {
  type FromProber,
  type ProbeTarget,
  probeCountersByteLength,
} from "../../src/channel/prober-messages.ts";
import { Prober } from "../../src/health/prober.ts";
import { receiveBytes, sendQueueBytesHigh } from "../../src/limits.ts";
import type { Address } from "../../src/model/address.ts";
import type { HealthCheck, Probe } from "../../src/model/service-options.ts";
import { realSystem } from "../../src/system.ts";
import type { Adapter } from "./adapters.ts";
import { until } from "./until.ts";

export const http = (settings: Partial<Extract<Probe, { kind: "http" }>> = {}): Probe => ({
  kind: "http",
  path: "/healthz",
  ...settings,
});
export const grpc = (service = ""): Probe => ({ kind: "grpc", service });

export interface World {
  readonly prober: Prober;
  readonly counters: Float64Array;
  /** "1 unhealthy: connect refused". */
  readonly told: string[];
  /** The state changes at the first result of its kind. */
  readonly check: (address: Address, probe: Probe, changes?: Partial<HealthCheck>) => number;
}

export function proberWorld(adapter: Adapter, inFlightMax = 100): World {
  const counters = new Float64Array(new SharedArrayBuffer(probeCountersByteLength));
  const { io, close } = adapter.open({
    receiveBytes,
    sendQueueBytesHigh,
    unsentBytesMax: undefined,
    onAcceptTrouble: () => {},
  });
  const told: string[] = [];
  const tell = (message: FromProber): void => {
    if (message.kind !== "verdicts") return;
    for (const { id, state, reason } of message.verdicts) told.push(`${id} ${state}: ${reason}`);
  };
  const options = { io, system: realSystem, counters, userAgent: "crosspoint/1.2.3", inFlightMax };
  const prober = new Prober({ ...options, tell });
  onTestFinished(() => {
    prober.close();
    close();
  });
  let ids = 0;
  return {
    prober,
    counters,
    told,
    check: (address, probe, changes = {}) => {
      const check: HealthCheck = {
        probe,
        intervalMs: 600,
        timeoutMs: 250,
        healthyThreshold: 1,
        unhealthyThreshold: 1,
        ...changes,
      };
      const target: ProbeTarget = { id: ++ids, address, check, state: "unknown" };
      prober.change({ kind: "targets", added: [target], removed: [] });
      return ids;
    },
  };
}

/** What the first probe of one backend comes to. */
export async function verdictOf(
  adapter: Adapter,
  address: Address,
  probe: Probe,
  timeoutMs = 5_000,
): Promise<string> {
  const { check, told } = proberWorld(adapter);
  check(address, probe, { intervalMs: 60_000, timeoutMs });
  await until(() => told.length > 0, "a verdict");
  return told[0]!.slice(2);
}

/** A probe that is to be late is given little time; the others as much as a busy machine may need. */
export function timeOf(says: string): number {
  return says.includes("within 250 ms") ? 250 : 5_000;
}
