// What the main thread of a node does for limits of services, for workers that have none: says which row is whose.

import { type InFlightMemory, inFlightMemory } from "../../src/channel/in-flight.ts";
import type { ToWorker } from "../../src/channel/messages.ts";
import { type NamedRow, RowBook } from "../../src/control/row-book.ts";
import type { Change, Snapshot } from "../../src/model/change.ts";
import { Table } from "../../src/model/table.ts";

/** One for all workers that share the memory; each tells it the same changes. */
export class RowKeeper {
  readonly memory: InFlightMemory;
  readonly #book: RowBook;
  #table = new Table();

  constructor(slots = 1, rowsMax?: number) {
    this.memory = inFlightMemory(slots, rowsMax);
    this.#book = new RowBook(this.memory.rows);
  }

  /** Before a worker gets this table. */
  begin(snapshot: Snapshot): ToWorker {
    this.#table = Table.of(snapshot);
    this.#book.begin(this.#table);
    return rows(this.#book.entries());
  }

  /** Before a worker gets these changes. */
  follow(changes: readonly Change[]): ToWorker {
    this.#table.apply({ revision: this.#table.revision, changes });
    this.#book.follow(changes, this.#table);
    return rows(this.#book.entries());
  }

  rowOf(name: string): number | undefined {
    return this.#book.rowOf(name);
  }
}

function rows(came: readonly NamedRow[]): ToWorker {
  return { kind: "rows", came, gone: [] };
}
