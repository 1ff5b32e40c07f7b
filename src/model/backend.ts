// A Backend: one address of a Service.

import type { Address } from "./address.ts";
import { type Branded, minted } from "./brand.ts";
import type { Labels, ServiceName } from "./names.ts";
import { sameLabels } from "./route.ts";

/** Weight of a backend that names none. */
export const backendWeightDefault = 100;
export const backendWeightMax = 1000;

export interface Backend {
  readonly service: ServiceName;
  readonly address: Address;
  /** 1 to 1000. */
  readonly weight: number;
  readonly labels: Labels;
  /** Gone this long after its last registration, in ms; undefined: stays until deregistered. */
  readonly ttlMs: number | undefined;
}

/** "web 10.0.0.7:8080". */
export type BackendKey = Branded<string, "BackendKey">;

export function backendKeyOf(backend: {
  readonly service: ServiceName;
  readonly address: Address;
}): BackendKey {
  return minted<BackendKey>(`${backend.service} ${backend.address}`);
}

export function sameBackend(a: Backend, b: Backend): boolean {
  return (
    a.service === b.service &&
    a.address === b.address &&
    a.weight === b.weight &&
    a.ttlMs === b.ttlMs &&
    sameLabels(a.labels, b.labels)
  );
}
