// What the main thread and the prober tell each other. The prober is one thread of the node that asks backends how they
// are; see src/health/.

import type { Address } from "../model/address.ts";
import type { HealthCheck } from "../model/service-options.ts";
import type { DescriptorMemory } from "./descriptors.ts";
import type { CheckVerdict, IoName } from "./messages.ts";

/** One address that is asked in one way, however many services want to know. */
export interface ProbeTarget {
  /** Never reused. */
  readonly id: number;
  readonly address: Address;
  readonly check: HealthCheck;
  /** What was known of it before: a prober that replaces another goes on from there. */
  readonly state: CheckVerdict["state"];
}

/** What a prober thread is started with (workerData). */
export interface ProberStart {
  readonly io: IoName;
  /** Of the User-Agent field: "crosspoint/0.1.0". */
  readonly userAgent: string;
  /** Probes under way at once. */
  readonly inFlightMax: number;
  /** A Float64Array by `ProbeCounter`; outlives the thread. */
  readonly counters: SharedArrayBuffer;
  /** What the thread holds by number, for the main thread to close when it has died. */
  readonly descriptors: DescriptorMemory;
}

/** Places of the counters, written by the prober alone. */
export const ProbeCounter = {
  succeeded: 0,
  failed: 1,
  /** Of those that failed: it took too long. */
  timedOut: 2,
  inFlight: 3,
  /** ms on the clock that all threads share. */
  heartbeatMs: 4,
} as const;
export const probeCountersByteLength =
  Object.keys(ProbeCounter).length * Float64Array.BYTES_PER_ELEMENT;

/** What the checks say of one target, when that is news. */
export interface TargetVerdict {
  readonly id: number;
  readonly state: "healthy" | "unhealthy";
  readonly reason: string;
}

export type ToProber =
  | {
      readonly kind: "targets";
      readonly added: readonly ProbeTarget[];
      readonly removed: readonly number[];
    }
  | { readonly kind: "end" };

export type FromProber =
  | { readonly kind: "verdicts"; readonly verdicts: readonly TargetVerdict[] }
  /** For people: it probes, but not as it should. */
  | { readonly kind: "trouble"; readonly reason: string };
