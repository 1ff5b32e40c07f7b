// Opens the file of an SQLite store: creates it, locks it, refuses what is not ours, not whole or too new.
//
// Never opens the file by any other way than SQLite: POSIX drops a process's locks on a file as soon as
// that process closes any descriptor of it (https://www.sqlite.org/howtocorrupt.html section 2.2).

import { closeSync, fsyncSync, mkdirSync, openSync, statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { storeLogBytesKept } from "../limits.ts";
import { damagedError, sqliteError, storeError } from "./sqlite-error.ts";
import { applicationId, migrations } from "./sqlite-schema.ts";

/** SQLite's smallest page (https://www.sqlite.org/fileformat.html section 1.3.2): no database is smaller. */
const pageBytesMin = 512;

/**
 * Throws a RouterError that says what to do; then nothing is left open.
 *
 * @param steps The migrations that this build knows.
 */
export function openSqliteFile(path: string, steps = migrations): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    prepareFile(path);
    db = new DatabaseSync(path);
    lock(db, path, steps.length);
    checkWhole(db, path);
    migrate(db, steps);
    return db;
  } catch (thrown) {
    db?.close();
    throw sqliteError(path, thrown);
  }
}

/** Directory 0700, file 0600; what exists keeps its mode. */
function prepareFile(path: string): void {
  makeDirectory(dirname(resolve(path)));
  const found = statSync(path, { throwIfNoEntry: false });
  if (found !== undefined && !found.isFile()) {
    const what = found.isDirectory() ? "a directory" : "not a regular file";
    throw storeError(
      "failed-precondition",
      "STORE_NOT_OPENED",
      path,
      `is ${what}: name a file, such as ${path}/routes.db`,
    );
  }
  const size = found?.size ?? 0;
  if (size === 0 && sizeOf(`${path}-wal`) > 0) {
    // SQLite would delete the log, and with it what may be the only copy of the last writes.
    const what = found === undefined ? "missing" : "empty";
    throw damagedError(path, `it is ${what}, but ${basename(path)}-wal is there`);
  }
  if (size > 0 && size < pageBytesMin) {
    // SQLite would take it for an empty one.
    throw damagedError(path, `it ends after ${size} bytes`);
  }
  if (found === undefined) closeSync(openSync(path, "wx", 0o600));
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/**
 * Not by mkdirSync's `recursive`, which in Node 24 never returns where a directory exists but takes no new
 * entry (ENOENT below /proc).
 */
function makeDirectory(directory: string): void {
  if (statSync(directory, { throwIfNoEntry: false }) !== undefined) return;
  const parent = dirname(directory);
  makeDirectory(parent);
  mkdirSync(directory, { mode: 0o700 });
  // A new entry survives a power failure only once its directory is synced.
  const descriptor = openSync(parent, "r");
  fsyncSync(descriptor);
  closeSync(descriptor);
}

/**
 * Locks the file until it is closed or the process ends, however it ends. The mode comes before the first
 * access: then SQLite keeps the index of the WAL in its own memory, not in a mapped "-shm" file.
 */
function lock(db: DatabaseSync, path: string, versionKnown: number): void {
  db.exec("PRAGMA locking_mode = EXCLUSIVE");
  db.exec("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0");
  db.exec("BEGIN IMMEDIATE");
  checkOurs(db, path, versionKnown);
  // Another process that was refused where we were let in may hold its read lock for a moment longer.
  db.exec("PRAGMA busy_timeout = 1000; COMMIT; PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 0");
  db.exec(`PRAGMA synchronous = FULL; PRAGMA journal_size_limit = ${storeLogBytesKept}`);
}

/** Before anything is changed: a foreign file must stay as it is. */
function checkOurs(db: DatabaseSync, path: string, versionKnown: number): void {
  const id = pragma(db, "application_id");
  // New, or left by a process that was killed before it made the tables.
  if (id === 0 && db.prepare("SELECT 1 FROM sqlite_schema").get() === undefined) return;
  if (id !== applicationId) {
    throw storeError(
      "failed-precondition",
      "STORE_FOREIGN",
      path,
      `is an SQLite file of another program (application_id ${String(id)}): name another file`,
    );
  }
  const version = Number(pragma(db, "user_version"));
  if (version > versionKnown) {
    throw storeError(
      "failed-precondition",
      "STORE_TOO_NEW",
      path,
      `holds schema version ${version}, and this build knows up to ${versionKnown}: run the newer build, or name another file`,
    );
  }
}

function checkWhole(db: DatabaseSync, path: string): void {
  // 25 ms at 100,000 routes. It finds what would spread: a page that is used and free, say.
  const found = db.prepare("PRAGMA quick_check(1)").get()?.["quick_check"];
  if (found !== "ok") throw damagedError(path, String(found));
}

/** One transaction: a kill leaves the old version or the new one. */
function migrate(db: DatabaseSync, steps: readonly string[]): void {
  const version = Number(pragma(db, "user_version"));
  if (version === steps.length) return;
  db.exec("BEGIN IMMEDIATE");
  for (const step of steps.slice(version)) db.exec(step);
  db.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${steps.length}`);
  db.exec("COMMIT");
}

function pragma(db: DatabaseSync, name: string): unknown {
  return db.prepare(`PRAGMA ${name}`).get()?.[name];
}
