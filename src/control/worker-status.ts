// What is known of a worker from outside: of its slot, and of what it has counted.

import type { RefusedListener } from "../channel/messages.ts";
import type { Position } from "../model/position.ts";
import type { Revision } from "../model/revision.ts";
import type { Refusal } from "./publisher.ts";

/** One slot, for /snapshot. */
export interface WorkerStatus {
  readonly slot: number;
  /** The incarnation; never reused. */
  readonly workerId: number;
  readonly state: "starting" | "serving" | "restarting" | "drained";
  readonly servedRevision: Revision;
  readonly servedPosition: Position;
  readonly lastNack: Refusal | undefined;
  /** Loans on which the worker could not listen. */
  readonly refusedListeners: readonly RefusedListener[];
  readonly restarts: number;
  /** When the present state began, in ms since the epoch. */
  readonly sinceMs: number;
  /** Why the last incarnation ended; "" when none has. */
  readonly lastFailure: string;
}

export interface FleetCounters {
  readonly retired: Float64Array;
  readonly live: readonly { readonly slot: number; readonly counters: Float64Array }[];
}
