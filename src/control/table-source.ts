// The table that this node follows: read once from the store, then patched by every change the store
// tells of, ours and others' alike. When the store goes away the table stays as it is; when it comes
// back the difference is found and told as one change.

import { sourceRetryMsMax, sourceRetryMsMin, sourceSettledMs } from "../limits.ts";
import { sameBackend } from "../model/backend.ts";
import type { Change, ChangeSet, Snapshot } from "../model/change.ts";
import { RouterError } from "../model/errors.ts";
import type { Revision } from "../model/revision.ts";
import { sameRoute } from "../model/route.ts";
import { sameService } from "../model/service.ts";
import { Table } from "../model/table.ts";
import type { Store } from "../store/store.ts";
import { type System, sleep } from "../system.ts";
import type { Log } from "../telemetry/log-port.ts";
import { SetAside, type SetAsideRoute } from "./set-aside.ts";
import type { TableView } from "./table-view.ts";

export interface TableSourceOptions {
  readonly store: Store;
  readonly system: System;
  readonly log: Log;
}

interface Waiter {
  readonly revision: Revision;
  readonly resolve: () => void;
}

export class TableSource implements TableView {
  readonly table = new Table();
  /** ChangeSets applied since the start. */
  changeSetsTotal = 0;
  /** What is wrong with the store at the moment, in words; undefined: nothing. */
  trouble: string | undefined;
  readonly #options: TableSourceOptions;
  readonly #setAside = new SetAside();
  readonly #listeners = new Set<(changeSet: ChangeSet) => void>();
  readonly #waiters = new Set<Waiter>();
  readonly #stopping = new AbortController();
  #following: Promise<void> = Promise.resolve();
  /** Before the store is read again. */
  #pauseMs = sourceRetryMsMin;

  /** Reads the table; rejects as the store does when it cannot be read. */
  static async start(options: TableSourceOptions): Promise<TableSource> {
    const source = new TableSource(options);
    source.#reconcile(await options.store.read());
    for (const { key, reason } of options.store.rejected) {
      options.log.warn("an entry of the store is set aside", { key, reason });
    }
    source.#following = source.#follow();
    return source;
  }

  private constructor(options: TableSourceOptions) {
    this.#options = options;
  }

  /** Routes that the store holds and that cannot serve beside the others. */
  get rejected(): readonly SetAsideRoute[] {
    return this.#setAside.entries;
  }

  /** Calls `listener` after each change was applied to `table`; the answer ends it. */
  subscribe(listener: (changeSet: ChangeSet) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  reached(revision: Revision, signal: AbortSignal): Promise<void> {
    if (this.table.revision >= revision || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const finish = (): void => {
        this.#waiters.delete(waiter);
        signal.removeEventListener("abort", finish);
        resolve();
      };
      const waiter: Waiter = { revision, resolve: finish };
      this.#waiters.add(waiter);
      signal.addEventListener("abort", finish, { once: true });
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#following;
    for (const waiter of this.#waiters) waiter.resolve();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#watch();
        if (!signal.aborted)
          throw new RouterError("store-unavailable", "the watch ended by itself");
      } catch (error) {
        this.#failed(RouterError.from(error));
        await this.#readAgain();
      }
    }
  }

  /** Applies what the store tells, until that ends. */
  async #watch(): Promise<void> {
    const { store, system } = this.#options;
    const { signal } = this.#stopping;
    // That a read succeeds proves little: a watch that lasts, or brings something, does.
    const cancel = system.after(sourceSettledMs, () => this.#settled());
    try {
      for await (const changeSet of store.watch(this.table.revision, signal)) {
        this.#apply(changeSet);
        this.#settled();
      }
    } finally {
      cancel();
    }
  }

  #settled(): void {
    this.#pauseMs = sourceRetryMsMin;
    if (this.trouble === undefined) return;
    this.trouble = undefined;
    const { store, log } = this.#options;
    log.info("the store is followed again", { store: store.name, revision: this.table.revision });
  }

  #failed(cause: RouterError): void {
    const { store, log } = this.#options;
    if (this.trouble === undefined) {
      log.warn("the store cannot be followed; traffic goes on with the last table", {
        store: store.name,
        revision: this.table.revision,
        cause: cause.message,
      });
    }
    this.trouble = cause.message;
  }

  /** Until it can be read, ever more slowly. */
  async #readAgain(): Promise<void> {
    const { store, system } = this.#options;
    const { signal } = this.#stopping;
    for (;;) {
      await sleep(system, this.#pauseMs, signal);
      if (signal.aborted) return;
      this.#pauseMs = Math.min(this.#pauseMs * 2, sourceRetryMsMax);
      try {
        return this.#reconcile(await store.read());
      } catch (error) {
        this.#failed(RouterError.from(error));
      }
    }
  }

  /** Makes the table what `snapshot` says, as one change, unless nothing differs. */
  #reconcile(snapshot: Snapshot): void {
    if (snapshot.revision < this.table.revision)
      throw behind(snapshot.revision, this.table.revision);
    if (snapshot.revision === this.table.revision) return;
    this.#setAside.clear(); // the difference names anew whatever is not served
    this.#apply({ revision: snapshot.revision, changes: differenceOf(this.table, snapshot) });
  }

  #apply(changeSet: ChangeSet): void {
    if (changeSet.revision <= this.table.revision) return; // repeated: already applied
    const known = new Set(this.rejected.map(({ key }) => key));
    const admitted = this.#setAside.admit(this.table, changeSet);
    this.table.apply(admitted);
    this.changeSetsTotal++;
    for (const { key, reason } of this.rejected) {
      if (known.has(key)) continue;
      this.#options.log.warn("an entry of the store is set aside", { key, reason });
    }
    for (const listener of this.#listeners) listener(admitted);
    for (const waiter of this.#waiters) {
      if (waiter.revision <= this.table.revision) waiter.resolve();
    }
  }
}

/** Somebody put an old copy of the store in place: what serves is not given up for that. */
function behind(revision: Revision, served: Revision): RouterError {
  return new RouterError(
    "store-unavailable",
    `the store is at revision ${revision}, behind the ${served} that this node serves: if an old copy was restored on purpose, restart the node`,
  );
}

/** The changes that turn `table` into `wanted`. */
function differenceOf(table: Table, wanted: Snapshot): Change[] {
  const changes: Change[] = [];
  const target = Table.of(wanted);
  for (const { name } of table.routes()) {
    if (target.route(name) === undefined) changes.push({ kind: "route-removed", name });
  }
  for (const { name } of table.services()) {
    if (target.service(name) === undefined) changes.push({ kind: "service-removed", name });
  }
  for (const { service, address } of table.backends()) {
    if (target.backendsOf(service).has(address)) continue;
    changes.push({ kind: "backend-removed", service, address });
  }
  for (const route of wanted.routes) {
    const had = table.route(route.name);
    if (had === undefined || had.revision !== route.revision || !sameRoute(had, route)) {
      changes.push({ kind: "route-put", route });
    }
  }
  for (const service of wanted.services) {
    const had = table.service(service.name);
    if (had === undefined || !sameService(had, service))
      changes.push({ kind: "service-put", service });
  }
  for (const backend of wanted.backends) {
    const had = table.backendsOf(backend.service).get(backend.address);
    if (had === undefined || !sameBackend(had, backend))
      changes.push({ kind: "backend-put", backend });
  }
  return changes;
}
