// The statements of an SQLite store, prepared once, and its rows with their checksums.
//
// Knows: the tables of sqlite-schema.ts. Does not know: revisions' order, watchers, TTLs, what errors mean.
// Every method but `entries` costs the same whatever the number of rows.

import type { DatabaseSync, SQLOutputValue, StatementSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { backendKeyOf } from "../model/backend.ts";
import type { Change, ChangeSet } from "../model/change.ts";
import { assert, unreachable } from "../model/errors.ts";
import { parseRevision } from "../model/revision.ts";
import { rowCrc, type StoredState, stateCrc } from "./sqlite-schema.ts";
import type { RequestRecord } from "./store.ts";
import { decodeChange, encodeValue } from "./value-codec.ts";

export type EntryTable = "routes" | "services" | "backends";

/** A row of routes, services or backends. */
export interface Entry {
  readonly key: string;
  readonly value: string;
  /** False: the row is not what was written. */
  readonly whole: boolean;
}

/** Change `seq` of the `count` changes of a revision. */
export interface HistoryPlace {
  readonly revision: number;
  readonly seq: number;
  readonly count: number;
}

type Row = Record<string, SQLOutputValue>;

/** Of a damaged row too it is a number that Node can hold. */
const crcColumn = "crc & 4294967295 AS crc";

interface EntryStatements {
  readonly all: StatementSync;
  readonly get: StatementSync;
  readonly put: StatementSync;
  readonly remove: StatementSync;
}

export class SqliteRows {
  readonly #db: DatabaseSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #entries: Readonly<Record<EntryTable, EntryStatements>>;
  readonly #backendsWithTtl: StatementSync;
  readonly #getState: StatementSync;
  readonly #setState: StatementSync;
  readonly #getHistory: StatementSync;
  readonly #addHistory: StatementSync;
  readonly #dropHistory: StatementSync;
  readonly #getRequest: StatementSync;
  readonly #addRequest: StatementSync;
  readonly #dropRequests: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#begin = db.prepare("BEGIN IMMEDIATE");
    this.#commit = db.prepare("COMMIT");
    this.#entries = {
      routes: prepareEntries(db, "routes"),
      services: prepareEntries(db, "services"),
      backends: prepareEntries(db, "backends"),
    };
    // Found by its text, so that the scan decodes none of the others. A quote inside a label is escaped.
    this.#backendsWithTtl = db.prepare(
      `SELECT key, value, ${crcColumn} FROM backends WHERE instr(value, '"ttlMs":') > 0`,
    );
    this.#getState = db.prepare("SELECT * FROM state WHERE id = 1");
    this.#setState = db.prepare(
      "UPDATE state SET revision = ?, floor = ?, changes = ?, routes = ?, services = ?, backends = ?, crc = ? WHERE id = 1",
    );
    this.#getHistory = db.prepare(
      `SELECT change, before, ${crcColumn} FROM history WHERE revision = ? ORDER BY seq`,
    );
    this.#addHistory = db.prepare("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)");
    this.#dropHistory = db.prepare("DELETE FROM history WHERE revision = ?");
    this.#getRequest = db.prepare(
      `SELECT fingerprint, answer, revision, ${crcColumn} FROM requests WHERE id = ?`,
    );
    this.#addRequest = db.prepare(
      "INSERT OR REPLACE INTO requests (id, fingerprint, answer, revision, crc) VALUES (?, ?, ?, ?, ?)",
    );
    this.#dropRequests = db.prepare("DELETE FROM requests WHERE n <= ?");
  }

  /** All that `work` does, or nothing; once it answers, it is on the disk. */
  transaction<T>(work: () => T): T {
    this.#begin.run();
    try {
      const result = work();
      this.#commit.run();
      return result;
    } catch (thrown) {
      // SQLite has rolled back by itself after some errors.
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw thrown;
    }
  }

  /** undefined when the row is missing or not what was written. */
  state(): StoredState | undefined {
    const row = this.#getState.get();
    if (row === undefined) return undefined;
    const state: StoredState = {
      revision: integer(row, "revision"),
      floor: integer(row, "floor"),
      changes: integer(row, "changes"),
      routes: integer(row, "routes"),
      services: integer(row, "services"),
      backends: integer(row, "backends"),
    };
    return stateCrc(state) === row["crc"] ? state : undefined;
  }

  setState(state: StoredState): void {
    const { revision, floor, changes, routes, services, backends } = state;
    this.#setState.run(revision, floor, changes, routes, services, backends, stateCrc(state));
  }

  *entries(table: EntryTable): IterableIterator<Entry> {
    for (const row of this.#entries[table].all.iterate()) yield entryOf(row);
  }

  *backendsWithTtl(): IterableIterator<Entry> {
    for (const row of this.#backendsWithTtl.iterate()) yield entryOf(row);
  }

  /** Puts or removes; answers the value that was there. */
  apply(table: EntryTable, key: string, value: string | undefined): string | undefined {
    const statements = this.#entries[table];
    const before = statements.get.get(key)?.["value"];
    if (value !== undefined) statements.put.run(key, value, rowCrc(key, value));
    else if (before !== undefined) statements.remove.run(key);
    return before === undefined ? undefined : String(before);
  }

  /** undefined when the revision is not kept, or not whole. */
  changeSet(revision: number): ChangeSet | undefined {
    const rows = this.#getHistory.all(revision);
    const changes: Change[] = [];
    for (const [seq, row] of rows.entries()) {
      const change = text(row, "change");
      const before = row["before"] === null ? undefined : text(row, "before");
      const place = { revision, seq, count: rows.length };
      if (row["crc"] !== historyCrc(place, change, before)) return undefined;
      try {
        changes.push(decodeChange(change));
      } catch {
        return undefined;
      }
    }
    return changes.length === 0 ? undefined : { revision: parseRevision(revision), changes };
  }

  addHistory(
    place: HistoryPlace,
    change: Change,
    before: string | undefined,
    wallMs: number,
  ): void {
    const value = encodeValue(change);
    const crc = historyCrc(place, value, before);
    const { revision, seq } = place;
    this.#addHistory.run(revision, seq, value, before ?? null, Math.trunc(wallMs), crc);
  }

  /** Answers how many changes the revision had. */
  dropHistory(revision: number): number {
    return Number(this.#dropHistory.run(revision).changes);
  }

  /** "damaged" when the record is not what was written. */
  request(id: string): RequestRecord | "damaged" | undefined {
    const row = this.#getRequest.get(id);
    if (row === undefined) return undefined;
    const answer = row["answer"];
    const fingerprint = text(row, "fingerprint");
    const revision = integer(row, "revision");
    if (!(answer instanceof Uint8Array)) return "damaged";
    const record = { id, fingerprint, answer, revision: parseRevision(revision) };
    return row["crc"] === requestCrc(record) ? record : "damaged";
  }

  /** Remembers one more, and no more than `requestsMax` writes back. */
  addRequest(record: RequestRecord, requestsMax: number): void {
    const { id, fingerprint, answer, revision } = record;
    const { lastInsertRowid } = this.#addRequest.run(
      id,
      fingerprint,
      answer,
      revision,
      requestCrc(record),
    );
    this.#dropRequests.run(Number(lastInsertRowid) - requestsMax);
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close();
  }
}

/** Where a change goes, and what is there afterwards: undefined for nothing. */
export function entryOfChange(change: Change): {
  readonly table: EntryTable;
  readonly key: string;
  readonly value: string | undefined;
} {
  switch (change.kind) {
    case "route-put":
      return { table: "routes", key: change.route.name, value: encodeValue(change.route) };
    case "route-removed":
      return { table: "routes", key: change.name, value: undefined };
    case "service-put":
      return { table: "services", key: change.service.name, value: encodeValue(change.service) };
    case "service-removed":
      return { table: "services", key: change.name, value: undefined };
    case "backend-put": {
      const { backend } = change;
      return { table: "backends", key: backendKeyOf(backend), value: encodeValue(backend) };
    }
    case "backend-removed":
      return { table: "backends", key: backendKeyOf(change), value: undefined };
    default:
      return unreachable(change);
  }
}

function prepareEntries(db: DatabaseSync, table: EntryTable): EntryStatements {
  return {
    all: db.prepare(`SELECT key, value, ${crcColumn} FROM ${table}`),
    get: db.prepare(`SELECT value FROM ${table} WHERE key = ?`),
    put: db.prepare(
      `INSERT INTO ${table} VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, crc = excluded.crc`,
    ),
    remove: db.prepare(`DELETE FROM ${table} WHERE key = ?`),
  };
}

function entryOf(row: Row): Entry {
  const key = text(row, "key");
  const value = text(row, "value");
  return { key, value, whole: row["crc"] === rowCrc(key, value) };
}

/** The count is in, so that a revision that lost its end is not taken for a smaller one. */
function historyCrc(place: HistoryPlace, change: string, before: string | undefined): number {
  const { revision, seq, count } = place;
  return crc32(before ?? "", crc32(change, crc32(`${revision} ${seq} ${count}`)));
}

function requestCrc({ id, fingerprint, answer, revision }: RequestRecord): number {
  return crc32(answer, crc32(`${revision} ${id} ${fingerprint}`));
}

// The tables are STRICT: anything else would be a damaged page.
function text(row: Row, column: string): string {
  const value = row[column];
  assert(typeof value === "string", `column ${column} holds a text`);
  return value;
}

function integer(row: Row, column: string): number {
  const value = row[column];
  assert(typeof value === "number", `column ${column} holds an integer`);
  return value;
}
