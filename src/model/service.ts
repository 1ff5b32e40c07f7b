// A Service: a named set of Backends with a policy. It also exists as soon as a Route or a Backend
// names it; then its settings are the defaults.

import type { ServiceName } from "./names.ts";
import { type ServiceOptions, sameServiceOptions } from "./service-options.ts";

/** How a Backend is chosen. */
export const Policy = {
  Random: "random",
  RoundRobin: "round-robin",
  LeastLoaded: "least-loaded",
  /** The least expected time to answer, of two drawn at random. */
  PeakEwma: "peak-ewma",
  /** The same key, the same backend: Maglev, with bounded load. */
  RingHash: "ring-hash",
  /** The oldest backend alone. */
  Leader: "leader",
} as const;
export type Policy = (typeof Policy)[keyof typeof Policy];

/** Versions of HAProxy's PROXY protocol, by which a backend is told whose connection it is. */
export const ProxyProtocol = { V1: "v1", V2: "v2" } as const;
export type ProxyProtocol = (typeof ProxyProtocol)[keyof typeof ProxyProtocol];

export interface Service {
  readonly name: ServiceName;
  /** undefined: not set, as least-loaded. */
  readonly policy: Policy | undefined;
  /** Absent: connections to backends begin without a preface. */
  readonly proxyProtocol?: ProxyProtocol;
  readonly options?: ServiceOptions;
}

export function sameService(a: Service, b: Service): boolean {
  return (
    a.name === b.name &&
    a.policy === b.policy &&
    a.proxyProtocol === b.proxyProtocol &&
    sameServiceOptions(a.options, b.options)
  );
}
