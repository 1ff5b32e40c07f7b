// The Store inside the process: one SQLite file, one owner.
//
// Knows: what an acknowledged write is (committed, synced). Does not know: SQL (sqlite-rows), the file and
// its lock (sqlite-file), what SQLite's errors mean (sqlite-error).
//
// Nothing is cached but the newest ChangeSets and the `state` row: what is read is what is on the disk. SQLite
// works synchronously, so a commit is one uninterrupted step and two of them cannot mix.

import {
  historyChangesMax,
  historyRevisionsMax,
  recentChangesMax,
  requestsKeptMax,
} from "../limits.ts";
import { type Backend, type BackendKey, backendKeyOf } from "../model/backend.ts";
import type { Change, ChangeSet, Snapshot } from "../model/change.ts";
import { RouterError } from "../model/errors.ts";
import { parseRevision, type Revision } from "../model/revision.ts";
import type { System } from "../system.ts";
import { ChangeLog, follow, type History, type HistoryBounds, isOver } from "./change-log.ts";
import { Leases } from "./leases.ts";
import { damagedError, sqliteError } from "./sqlite-error.ts";
import { openSqliteFile } from "./sqlite-file.ts";
import { type Entry, type EntryTable, entryOfChange, SqliteRows } from "./sqlite-rows.ts";
import type { StoredState } from "./sqlite-schema.ts";
import type { RejectedEntry, RequestRecord, Store, Write } from "./store.ts";
import { decodeBackend, decodeRoute, decodeService } from "./value-codec.ts";
import { checkWrite, closedError, nextChangeSet } from "./write-check.ts";

export interface SqliteStoreOptions {
  /** The file; it and its directory are made when they are missing. */
  readonly path: string;
  readonly system: System;
  readonly history?: HistoryBounds;
  readonly requestsMax?: number;
}

export class SqliteStore implements Store {
  readonly name: string;
  readonly #path: string;
  readonly #system: System;
  readonly #bounds: HistoryBounds;
  readonly #requestsMax: number;
  readonly #rows: SqliteRows;
  readonly #log: ChangeLog;
  readonly #leases: Leases;
  readonly #rejected = new Map<string, string>();
  #state: StoredState;

  /** Rejects with a RouterError that names the file, the cause and what to do. */
  static async open(options: SqliteStoreOptions): Promise<SqliteStore> {
    const db = openSqliteFile(options.path);
    try {
      const rows = new SqliteRows(db);
      const state = rows.state();
      if (state === undefined)
        throw damagedError(options.path, "its table of revisions is not whole");
      return new SqliteStore(options, rows, state);
    } catch (thrown) {
      db.close();
      throw sqliteError(options.path, thrown);
    }
  }

  /** Use `open`. */
  constructor(options: SqliteStoreOptions, rows: SqliteRows, state: StoredState) {
    this.name = `sqlite:${options.path}`;
    this.#path = options.path;
    this.#system = options.system;
    this.#bounds = options.history ?? {
      revisionsMax: historyRevisionsMax,
      changesMax: historyChangesMax,
    };
    this.#requestsMax = options.requestsMax ?? requestsKeptMax;
    this.#rows = rows;
    this.#state = state;
    this.#log = new ChangeLog(parseRevision(state.revision), {
      revisionsMax: recentChangesMax,
      changesMax: recentChangesMax,
    });
    this.#leases = new Leases({
      system: options.system,
      expire: ({ service, address }) => this.#put([{ kind: "backend-removed", service, address }]),
    });
    this.#startLeases();
  }

  readonly condition = { kind: "current" } as const;
  readonly members = undefined;

  get rejected(): readonly RejectedEntry[] {
    return [...this.#rejected].map(([key, reason]) => ({ key, reason }));
  }

  async read(): Promise<Snapshot> {
    return this.#use(() => {
      return {
        revision: this.#revision,
        routes: this.#readTable("routes", decodeRoute, (route) => route.name),
        services: this.#readTable("services", decodeService, (service) => service.name),
        backends: this.#readTable("backends", decodeBackend, backendKeyOf),
      };
    });
  }

  async commit(write: Write): Promise<Revision> {
    return this.#use(() => {
      checkWrite(write, this.#revision);
      this.#put(write.changes, write.request);
      return this.#revision;
    });
  }

  async findRequest(id: string): Promise<RequestRecord | undefined> {
    return this.#use(() => {
      const record = this.#rows.request(id);
      if (record === "damaged")
        throw damagedError(this.#path, "the answer to a request id is not whole");
      return record;
    });
  }

  async keepAlive(key: BackendKey): Promise<boolean> {
    return this.#use(() => this.#leases.renew(key));
  }

  watch(after: Revision, signal: AbortSignal): AsyncIterable<ChangeSet> {
    return follow(this.#history(), this.#log, after, signal);
  }

  async accept(): Promise<boolean> {
    return false;
  }

  async close(): Promise<void> {
    this.#leases.close();
    this.#log.close();
    this.#rows.close();
  }

  get #revision(): Revision {
    return this.#log.revision;
  }

  /** What watchers read: the newest from memory, older revisions from the disk. */
  #history(): History {
    const revision = (): Revision => this.#revision;
    const floor = (): Revision => parseRevision(this.#state.floor);
    return {
      get revision() {
        return revision();
      },
      get floor() {
        return floor();
      },
      next: (at) => this.#log.next(at) ?? this.#use(() => this.#rows.changeSet(at + 1)),
    };
  }

  /** Stores the changes as the next revision, then tells who waits for it. */
  #put(changes: readonly Change[], request?: Write["request"]): void {
    const changeSet = nextChangeSet(changes, this.#revision);
    const { revision } = changeSet;
    this.#state = this.#rows.transaction(() => {
      const state = this.#prune(this.#store(changeSet));
      if (request !== undefined) this.#rows.addRequest({ ...request, revision }, this.#requestsMax);
      this.#rows.setState(state);
      return state;
    });
    for (const change of changeSet.changes) {
      const { table, key } = entryOfChange(change);
      this.#rejected.delete(rejectedKey(table, key));
    }
    this.#leases.observe(changeSet.changes);
    this.#log.append(changeSet);
  }

  #store({ revision, changes }: ChangeSet): StoredState {
    const wallMs = this.#system.wallMs();
    const counts = { routes: 0, services: 0, backends: 0 };
    for (const [seq, change] of changes.entries()) {
      const { table, key, value } = entryOfChange(change);
      const before = this.#rows.apply(table, key, value);
      counts[table] += Number(value !== undefined) - Number(before !== undefined);
      this.#rows.addHistory({ revision, seq, count: changes.length }, change, before, wallMs);
    }
    const { floor } = this.#state;
    return {
      revision,
      floor,
      changes: this.#state.changes + changes.length,
      routes: this.#state.routes + counts.routes,
      services: this.#state.services + counts.services,
      backends: this.#state.backends + counts.backends,
    };
  }

  /** One revision in, about one out: the cost of a commit does not grow with the history. */
  #prune(state: StoredState): StoredState {
    let { floor, changes } = state;
    while (isOver(this.#bounds, state.revision - floor, changes)) {
      floor += 1;
      changes -= this.#rows.dropHistory(floor);
    }
    return { ...state, floor, changes };
  }

  #readTable<T>(table: EntryTable, decode: (text: string) => T, keyOf: (value: T) => string): T[] {
    const values: T[] = [];
    let found = 0;
    for (const entry of this.#rows.entries(table)) {
      found += 1;
      const value = decodeEntry(entry, decode, keyOf);
      if (value instanceof RouterError) {
        this.#rejected.set(rejectedKey(table, entry.key), value.message);
      } else {
        values.push(value);
      }
    }
    const expected = this.#state[table];
    if (found !== expected) {
      this.#rejected.set(
        table,
        `the file is damaged: ${found} rows found, ${expected} were stored`,
      );
    }
    return values;
  }

  #startLeases(): void {
    const puts: Change[] = [];
    for (const entry of this.#rows.backendsWithTtl()) {
      const backend = decodeEntry<Backend>(entry, decodeBackend, backendKeyOf);
      if (!(backend instanceof RouterError)) puts.push({ kind: "backend-put", backend });
    }
    this.#leases.observe(puts);
  }

  #use<T>(work: () => T): T {
    if (this.#log.closed) throw closedError(this.name);
    try {
      return work();
    } catch (thrown) {
      throw sqliteError(this.#path, thrown);
    }
  }
}

/** What the row says, or why it must be set aside. */
function decodeEntry<T>(
  entry: Entry,
  decode: (text: string) => T,
  keyOf: (value: T) => string,
): T | RouterError {
  if (!entry.whole) return new RouterError("internal", "the row is damaged: its checksum differs");
  try {
    const value = decode(entry.value);
    if (keyOf(value) === entry.key) return value;
    return new RouterError("internal", `the row names ${JSON.stringify(keyOf(value))}`);
  } catch (thrown) {
    return RouterError.from(thrown, "invalid-argument");
  }
}

/** "route web". */
function rejectedKey(table: EntryTable, key: string): string {
  return `${table.slice(0, -1)} ${key}`;
}
