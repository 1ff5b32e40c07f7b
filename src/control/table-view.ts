// What the calls need of the table that this node follows: a port, so that they are tested without a store's watch.

import type { Revision } from "../model/revision.ts";
import type { Table } from "../model/table.ts";

export interface TableView {
  /** Patched in place as changes arrive: decide within one turn, or read `revision` again. */
  readonly table: Table;
  /** Settles once `table.revision` is at least `revision`, or when `signal` aborts. */
  reached(revision: Revision, signal: AbortSignal): Promise<void>;
}
