// The reference Store: the contract in the fewest lines. Used by tests, the simulator and `--store memory:`.
//
// Knows nothing that outlives the process.

import { historyChangesMax, historyRevisionsMax, requestsKeptMax } from "../limits.ts";
import type { BackendKey } from "../model/backend.ts";
import type { Change, ChangeSet, Snapshot } from "../model/change.ts";
import { type Revision, revisionZero } from "../model/revision.ts";
import { Table } from "../model/table.ts";
import type { System } from "../system.ts";
import { ChangeLog, follow, type HistoryBounds } from "./change-log.ts";
import { Leases } from "./leases.ts";
import type { RejectedEntry, RequestRecord, Store, Write } from "./store.ts";
import { checkWrite, closedError, nextChangeSet } from "./write-check.ts";

export interface MemoryStoreOptions {
  readonly system: System;
  readonly history?: HistoryBounds;
  readonly requestsMax?: number;
}

export class MemoryStore implements Store {
  readonly name = "memory:";
  readonly rejected: readonly RejectedEntry[] = [];
  readonly condition = { kind: "current" } as const;
  readonly members = undefined;
  readonly #table = new Table();
  readonly #log: ChangeLog;
  readonly #leases: Leases;
  readonly #requests = new Map<string, RequestRecord>();
  readonly #requestsMax: number;

  constructor(options: MemoryStoreOptions) {
    const bounds = { revisionsMax: historyRevisionsMax, changesMax: historyChangesMax };
    this.#log = new ChangeLog(revisionZero, options.history ?? bounds);
    this.#requestsMax = options.requestsMax ?? requestsKeptMax;
    this.#leases = new Leases({
      system: options.system,
      expire: ({ service, address }) => this.#put([{ kind: "backend-removed", service, address }]),
    });
  }

  async read(): Promise<Snapshot> {
    this.#checkOpen();
    return this.#table.snapshot();
  }

  async commit(write: Write): Promise<Revision> {
    this.#checkOpen();
    checkWrite(write, this.#table.revision);
    this.#put(write.changes);
    const { revision } = this.#table;
    if (write.request !== undefined) this.#remember({ ...write.request, revision });
    return revision;
  }

  async findRequest(id: string): Promise<RequestRecord | undefined> {
    this.#checkOpen();
    return this.#requests.get(id);
  }

  async keepAlive(key: BackendKey): Promise<boolean> {
    this.#checkOpen();
    return this.#leases.renew(key);
  }

  watch(after: Revision, signal: AbortSignal): AsyncIterable<ChangeSet> {
    return follow(this.#log, this.#log, after, signal);
  }

  async accept(): Promise<boolean> {
    return false;
  }

  async close(): Promise<void> {
    this.#leases.close();
    this.#log.close();
  }

  #put(changes: readonly Change[]): void {
    const changeSet = nextChangeSet(changes, this.#table.revision);
    this.#table.apply(changeSet);
    this.#leases.observe(changeSet.changes);
    this.#log.append(changeSet);
  }

  #remember(request: RequestRecord): void {
    this.#requests.delete(request.id);
    this.#requests.set(request.id, request);
    const oldest = this.#requests.keys().next();
    if (this.#requests.size > this.#requestsMax && !oldest.done)
      this.#requests.delete(oldest.value);
  }

  #checkOpen(): void {
    if (this.#log.closed) throw closedError(this.name);
  }
}
