// What services with limits have in flight on this node, as the main thread has it: the shared memory, whose row is whose
// in it, and the messages by which workers learn that.
//
// A worker hears of a row before the change that needs it, and of a lost one only when nobody uses it any more.

import {
  Field,
  type InFlightMemory,
  inFlightMemory,
  inFlightTotal,
  isRowIdle,
} from "../channel/in-flight.ts";
import type { ToWorker } from "../channel/messages.ts";
import type { Change } from "../model/change.ts";
import type { Table } from "../model/table.ts";
import type { Log } from "../telemetry/log-port.ts";
import { RowBook } from "./row-book.ts";

/** Of a service that has limits or is paused, over all workers of the node. */
export interface ServiceLoad {
  readonly requests: number;
  /** TCP and upgraded ones. */
  readonly connections: number;
  readonly waiting: number;
}

export interface SharedRowsOptions {
  /** Workers. */
  readonly slots: number;
  readonly table: Table;
  readonly log: Log;
  /** To every worker. */
  readonly post: (message: ToWorker) => void;
}

export class SharedRows {
  readonly memory: InFlightMemory;
  readonly #options: SharedRowsOptions;
  readonly #book: RowBook;
  #missing = 0;

  constructor(options: SharedRowsOptions) {
    this.memory = inFlightMemory(options.slots);
    this.#options = options;
    this.#book = new RowBook(this.memory.rows);
    this.#book.begin(options.table);
    this.#tellMissing();
  }

  /** What a worker hears before its first table. */
  get greeting(): ToWorker {
    return { kind: "rows", came: this.#book.entries(), gone: [] };
  }

  /** The table has been changed so: to be called before any worker hears of it. */
  follow(changes: readonly Change[]): void {
    const came = this.#book.follow(changes, this.#options.table);
    if (came.length > 0) this.#options.post({ kind: "rows", came, gone: [] });
    this.#tellMissing();
  }

  /** Every worker serves the newest table. */
  settled(): void {
    const gone = this.#book.reclaim((row) => isRowIdle(this.memory, row));
    if (gone.length > 0) this.#options.post({ kind: "rows", came: [], gone });
  }

  /** Undefined: the service has no limits and is not paused. */
  loadOf(service: string): ServiceLoad | undefined {
    const row = this.#book.rowOf(service);
    if (row === undefined) return undefined;
    const sum = (field: number): number => inFlightTotal(this.memory, row, field);
    const [requests, connections] = [sum(Field.Requests), sum(Field.Connections)];
    return { requests, connections, waiting: sum(Field.Waiting) };
  }

  #tellMissing(): void {
    const { missing } = this.#book;
    if (missing > this.#missing) {
      this.#options.log.warn(
        "more limits than a node counts: each worker holds to its part of them",
        {
          uncounted: missing,
          counted: this.memory.rows,
        },
      );
    }
    this.#missing = missing;
  }
}
