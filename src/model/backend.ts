// A Backend: one address of a Service.

import type { Address } from "./address.ts";
import { type Branded, minted } from "./brand.ts";
import type { Labels, ServiceName } from "./names.ts";
import type { Revision } from "./revision.ts";
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
  /**
   * The revision that brought it, of the store or of the source that it was discovered in: of two backends the one
   * with the smaller is older. 0: not known, older than all that are. Absent: the store says when it puts it.
   */
  readonly joined?: Revision;
  /** It leaves: nothing new is sent there. Absent: it takes its share. */
  readonly drain?: BackendDrain;
}

/** How far a backend is that leaves; DeregisterBackend with a drain makes it, and nothing else. */
export interface BackendDrain {
  /** "drained": nothing is open there on any node any more, or what was has been cut; the removal follows. */
  readonly state: "draining" | "drained";
  /** When what is still open is cut; ms since the epoch. */
  readonly deadlineMs: number;
  /** Requests and connections that were cut, on all nodes; with "drained". */
  readonly cut?: number;
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
    sameLabels(a.labels, b.labels) &&
    sameDrain(a.drain, b.drain)
  );
}

/** Also in what the store set. */
export function sameStoredBackend(a: Backend, b: Backend): boolean {
  return a.joined === b.joined && sameBackend(a, b);
}

function sameDrain(a: BackendDrain | undefined, b: BackendDrain | undefined): boolean {
  return a?.state === b?.state && a?.deadlineMs === b?.deadlineMs && a?.cut === b?.cut;
}
