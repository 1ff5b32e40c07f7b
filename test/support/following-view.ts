// A TableView that follows a store's watch, in the fewest lines.

import {
  type StoredEntries,
  storedAsServed,
  type TableView,
} from "../../src/control/table-view.ts";
import type { Discovery } from "../../src/discovery/discovery.ts";
import type { Revision } from "../../src/model/revision.ts";
import { Table } from "../../src/model/table.ts";
import type { RejectedEntry, Store } from "../../src/store/store.ts";

export class FollowingView implements TableView {
  readonly table: Table;
  /** Tests may put something else in its place. */
  stored: StoredEntries;
  rejected: readonly RejectedEntry[] = [];
  discoveries: readonly Discovery[] = [];
  readonly failure = undefined;
  readonly era = 0;
  readonly #stop = new AbortController();
  #waiting: (() => void)[] = [];
  /** Set to hold changes back, as a slow watch would. */
  gate: Promise<void> | undefined;

  static async of(store: Store): Promise<FollowingView> {
    return new FollowingView(Table.of(await store.read()), store);
  }

  constructor(table: Table, store: Store) {
    this.table = table;
    this.stored = storedAsServed(table);
    void this.#follow(store);
  }

  async reached(revision: Revision, signal: AbortSignal): Promise<void> {
    while (this.table.revision < revision && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  close(): void {
    this.#stop.abort();
  }

  async #follow(store: Store): Promise<void> {
    for await (const changeSet of store.watch(this.table.revision, this.#stop.signal)) {
      await this.gate;
      this.table.apply(changeSet);
      for (const look of this.#waiting.splice(0)) look();
    }
  }
}
