// What stands in front of a service that has limits, or is paused: the worker's, which has what it takes to know who may
// go on (worker/service-gate.ts). A table carries it along and asks it for what people want to know.

import type { ServiceState } from "./service-state.ts";

/** Of all workers of the node together. */
export interface GateFigures {
  readonly requests: number;
  /** TCP and upgraded ones. */
  readonly connections: number;
  readonly waiting: number;
}

export interface Gate {
  /** The service goes on as `newer`, in the table that replaces this one. */
  moveTo(newer: ServiceState): void;
  figures(): GateFigures;
}
