// What a supervisor of workers is made with, and what it tells.

import type { MessagePort } from "node:worker_threads";
import type { ConnectionMemory } from "../channel/connection-counts.ts";
import type { InFlightMemory } from "../channel/in-flight.ts";
import type {
  RefusedListener,
  SharedEjection,
  TableVersion,
  WorkerSettings,
  WorkerStart,
} from "../channel/messages.ts";
import type { RateMemory } from "../channel/rate-buckets.ts";
import type { System } from "../system.ts";
import type { Log } from "../telemetry/log-port.ts";
import type { LeftDescriptors } from "./left-descriptors.ts";
import type { WorkerLink } from "./worker-link.ts";

/** Runs a worker in a thread: settles when its task ends; `signal` ends the thread. */
export type RunWorker = (
  start: WorkerStart,
  port: MessagePort,
  signal: AbortSignal,
) => Promise<unknown>;

export interface SupervisorOptions {
  readonly slots: number;
  readonly settings: WorkerSettings;
  /** With a column for each slot. */
  readonly connections: ConnectionMemory;
  readonly rates: RateMemory;
  /** With a column for each slot. */
  readonly inFlight: InFlightMemory;
  readonly descriptors: LeftDescriptors;
  readonly run: RunWorker;
  /** Ends a thread whose task ended by itself and whose leftovers may still accept connections. */
  readonly endIdleThread: () => void;
  readonly system: System;
  readonly log: Log;
  readonly events: SupervisorEvents;
}

export interface SupervisorEvents {
  /** An incarnation listens to its port and has no table. */
  ready(link: WorkerLink): void;
  trouble(link: WorkerLink, reason: string): void;
  ejected(link: WorkerLink, ejections: readonly SharedEjection[]): void;
  acked(link: WorkerLink, served: TableVersion, refused: readonly RefusedListener[]): void;
  nacked(link: WorkerLink, refused: TableVersion, reason: string): void;
  /** The incarnation answers no more; its thread may take a moment to be gone. */
  ended(link: WorkerLink): void;
  /** The thread is gone: nobody accepts from the slot's sockets. */
  gone(slot: number): void;
  log(lines: Uint8Array, release: () => void): void;
}
