// SQLite's result codes and the file system's errno as RouterErrors: the only place that knows them.
//
// Every message names the file, what went wrong and what to do about it.

import { RouterError, type RouterErrorCode } from "../model/errors.ts";

/** A store that cannot be used until somebody acts. `reason` is UPPER_SNAKE, for programs. */
export function storeError(
  code: RouterErrorCode,
  reason: string,
  path: string,
  message: string,
  cause?: unknown,
): RouterError {
  return new RouterError(
    code,
    `SQLite store ${path}: ${message}`,
    { reason, resource: { type: "store", name: path } },
    { cause },
  );
}

export function damagedError(path: string, what: string, cause?: unknown): RouterError {
  return storeError(
    "failed-precondition",
    "STORE_DAMAGED",
    path,
    `the file is damaged (${what}): restore it from a backup, or save what can be read with ` +
      `"sqlite3 ${path} .recover", or move the file and its "-wal" away to start empty`,
    cause,
  );
}

/** Wraps whatever SQLite or the file system threw. */
export function sqliteError(path: string, thrown: unknown): RouterError {
  if (thrown instanceof RouterError) return thrown;
  const what = thrown instanceof Error ? thrown.message : String(thrown);
  if (!isSqliteFailure(thrown)) return otherError(path, what, thrown);
  // https://www.sqlite.org/rescode.html: the low byte of an extended code is its primary code.
  switch (thrown.errcode & 0xff) {
    case 5: // SQLITE_BUSY
    case 6: // SQLITE_LOCKED
      return storeError(
        "store-unavailable",
        "STORE_IN_USE",
        path,
        "another process has it open: one node per file; stop the other node, or give this one its own --store or --state",
        thrown,
      );
    case 3: // SQLITE_PERM
    case 8: // SQLITE_READONLY
    case 23: // SQLITE_AUTH
      return storeError(
        "failed-precondition",
        "STORE_NOT_WRITABLE",
        path,
        `cannot be written (${what}): give this user write permission on the file and its directory`,
        thrown,
      );
    case 13: // SQLITE_FULL
      return storeError(
        "resource-exhausted",
        "STORE_FULL",
        path,
        "the disk is full and the change was not stored (what was stored before is safe): free some space, then retry",
        thrown,
      );
    case 14: // SQLITE_CANTOPEN
      return storeError(
        "failed-precondition",
        "STORE_NOT_OPENED",
        path,
        `cannot be opened (${what}): check that this user may read and write the file and create files in its directory`,
        thrown,
      );
    case 1: // SQLITE_ERROR: a table or column that the schema version promises is not there
    case 11: // SQLITE_CORRUPT
    case 26: // SQLITE_NOTADB
      return damagedError(path, what, thrown);
    default: // SQLITE_IOERR and whatever else a disk comes up with
      return storeError(
        "store-unavailable",
        "STORE_IO",
        path,
        `input or output failed (${what}, code ${thrown.errcode}) and nothing was changed: check the disk, its quota and the kernel's log`,
        thrown,
      );
  }
}

/** What Node throws around SQLite. */
function otherError(path: string, what: string, thrown: unknown): RouterError {
  if (!(thrown instanceof Error)) return RouterError.from(thrown);
  if ("syscall" in thrown) {
    return storeError(
      "failed-precondition",
      "STORE_NOT_OPENED",
      path,
      `cannot be used (${what}): check the path and this user's permissions on it`,
      thrown,
    );
  }
  // An integer beyond 2^53, where we never write one.
  const beyond = "code" in thrown && thrown.code === "ERR_OUT_OF_RANGE";
  return beyond ? damagedError(path, what, thrown) : RouterError.from(thrown);
}

/** What node:sqlite throws. */
function isSqliteFailure(thrown: unknown): thrown is Error & { readonly errcode: number } {
  return thrown instanceof Error && "errcode" in thrown && typeof thrown.errcode === "number";
}
