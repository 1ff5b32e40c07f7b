// The tables of an SQLite store, and how a file of an older version becomes one of this version.
//
// Every row carries the CRC-32 of its key and value: SQLite does not notice a flipped bit inside a text,
// and a route whose domain changed by one letter is worse than one that is missing and named.

import { crc32 } from "node:zlib";

/** "XPNT": marks a file as ours (PRAGMA application_id). */
export const applicationId = 0x58504e54;

/**
 * Entry n takes a file from version n (PRAGMA user_version) to n + 1, inside a transaction.
 * Released entries are never edited; a new version is a new entry.
 */
export const migrations: readonly string[] = [
  `
  -- One row. "revision" is the table's; history after "floor" is kept, "changes" rows of it.
  -- The counts say how many rows the tables must have: a lost page is noticed.
  CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    changes INTEGER NOT NULL,
    routes INTEGER NOT NULL,
    services INTEGER NOT NULL,
    backends INTEGER NOT NULL,
    crc INTEGER NOT NULL
  ) STRICT;
  INSERT INTO state VALUES (1, 0, 0, 0, 0, 0, 0, ${crc32("0 0 0 0 0 0")});

  CREATE TABLE routes (
    key TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE services (
    key TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE backends (
    key TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- "before" is the value that "change" replaced or removed; NULL when there was none.
  CREATE TABLE history (
    revision INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    change TEXT NOT NULL,
    before TEXT,
    wall_ms INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    PRIMARY KEY (revision, seq)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE requests (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    fingerprint TEXT NOT NULL,
    answer BLOB NOT NULL,
    revision INTEGER NOT NULL,
    crc INTEGER NOT NULL
  ) STRICT;
  `,
  // 2: the same tables. Routes say more than version 0.1 reads; it would serve one without its conditions or its
  // access list, and must not open the file.
  "",
];

/** The one row of `state`. */
export interface StoredState {
  readonly revision: number;
  readonly floor: number;
  readonly changes: number;
  readonly routes: number;
  readonly services: number;
  readonly backends: number;
}

export function stateCrc(state: StoredState): number {
  const { revision, floor, changes, routes, services, backends } = state;
  return crc32(`${revision} ${floor} ${changes} ${routes} ${services} ${backends}`);
}

/** Of a row of routes, services or backends. */
export function rowCrc(key: string, value: string): number {
  return crc32(value, crc32(key));
}
