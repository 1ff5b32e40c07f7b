// What a fleet is started with.

import type { ToWorker, WorkerSettings } from "../channel/messages.ts";
import type { ChangeSet } from "../model/change.ts";
import type { Table } from "../model/table.ts";
import type { System } from "../system.ts";
import type { Log } from "../telemetry/log-port.ts";
import type { ListenerSet } from "./listeners.ts";
import type { UnservedRoute } from "./unserved.ts";

/** Where changes come from: a table that is patched first and told about then. */
export interface ChangeSource {
  readonly table: Table;
  /**
   * Calls `listener` after each change was applied to `table`; the answer ends it. A change of discovery has
   * the revision of the one before; a lower one means that revisions are counted anew.
   */
  subscribe(listener: (changeSet: ChangeSet) => void): () => void;
  /** Routes that are stored and not in `table`; absent: none ever. */
  unserved?(): Iterable<UnservedRoute>;
}

export interface FleetOptions {
  readonly nodeName: string;
  /** Slots; the same number that `listeners` was opened with. */
  readonly workers: number;
  /** Belongs to the fleet from now on: it is closed by `drain`, and when the start fails. */
  readonly listeners: ListenerSet;
  readonly source: ChangeSource;
  readonly settings: WorkerSettings;
  /** The worker's entry: its default export takes a WorkerStart. */
  readonly workerFile: URL;
  readonly system: System;
  readonly log: Log;
  /** What a worker hears before its first table, beside its settings; absent: nothing. */
  readonly greetings?: () => readonly ToWorker[];
  /** Takes whole access-log lines; they are valid until it calls `release`. */
  readonly onLog: (lines: Uint8Array, release: () => void) => void;
}
