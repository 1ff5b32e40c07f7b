// Goal: the contract, and what a file adds to it: all of it is there again after a close, a kill or a full disk.
// Method: real files; other processes where the fault is a process's.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { backendKeyOf } from "../../src/model/backend.ts";
import { revisionZero } from "../../src/model/revision.ts";
import { openSqliteFile } from "../../src/store/sqlite-file.ts";
import { SqliteRows } from "../../src/store/sqlite-rows.ts";
import { SqliteStore } from "../../src/store/sqlite-store.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { backendAt, put, putBackend, putRoute, removeRoute, sorted, take } from "./samples.ts";
import { openAt } from "./sqlite-fixture.ts";
import { describeStore } from "./store.contract.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

const child = fileURLToPath(new URL("store-child.ts", import.meta.url));

describeStore("SqliteStore", (options) =>
  SqliteStore.open({ path: `${temporaryDirectory()}/routes.db`, ...options }),
);

/** A store together with its connection, so that the connection can be made to fail. */
async function openWithConnection() {
  const system = new FakeSystem();
  const path = `${temporaryDirectory()}/routes.db`;
  const db = openSqliteFile(path);
  const rows = new SqliteRows(db);
  const state = rows.state();
  if (state === undefined) throw new Error("a new file has a state");
  const store = new SqliteStore({ path, system }, rows, state);
  onTestFinished(() => store.close());
  return { store, db, rows, system };
}

describe("SqliteStore: what a file keeps", () => {
  test("a reopened store has the same table, history and request ids", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    const first = await openAt(path);
    await put(first, putRoute("a"), putBackend("10.0.0.1:80"), putRoute("b"));
    const request = { id: "r", fingerprint: "f", answer: Uint8Array.from([1, 2, 3]) };
    const { revision } = await first.read();
    await first.commit({ expected: revision, changes: [removeRoute("a")], request });
    const before = sorted(await first.read());
    const history = await take(first, revisionZero, 2);
    await first.close();

    const second = await openAt(path);
    expect(sorted(await second.read())).toEqual(before);
    expect(await take(second, revisionZero, 2)).toEqual(history);
    expect(await second.findRequest("r")).toEqual({ ...request, revision: before.revision });
    expect(await put(second, putRoute("c"))).toBeGreaterThan(before.revision);
  });

  test("a TTL starts again whole at a restart", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    const before = new FakeSystem();
    const first = await openAt(path, { system: before });
    await put(first, putBackend("10.0.0.1:80", { ttlMs: 1000 }), putBackend("10.0.0.2:80"));
    before.advance(900);
    await first.close();

    const after = new FakeSystem();
    const second = await openAt(path, { system: after });
    after.advance(999);
    expect((await second.read()).backends).toHaveLength(2);
    after.advance(1);
    expect((await second.read()).backends).toMatchObject([backendAt("10.0.0.2:80")]);
    expect(await second.keepAlive(backendKeyOf(backendAt("10.0.0.1:80")))).toBe(false);
  });

  test("the history is pruned on disk too, and the pruned part stays out of range", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    const first = await openAt(path, { history: { revisionsMax: 5, changesMax: 100 } });
    for (let i = 0; i < 20; i++) await put(first, putRoute("a"), putRoute("b"));
    await first.close();
    expect(rowsOf(path, "SELECT DISTINCT revision FROM history")).toHaveLength(5);
    const second = await openAt(path, { history: { revisionsMax: 5, changesMax: 100 } });
    await expect(take(second, revisionZero, 1)).rejects.toMatchObject({ code: "out-of-range" });
  });

  test("request ids are pruned on disk too", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    const store = await openAt(path, { requestsMax: 3 });
    let expected = revisionZero;
    for (let i = 0; i < 10; i++) {
      const request = { id: `r${i}`, fingerprint: "f", answer: new Uint8Array() };
      expected = await store.commit({ expected, changes: [putRoute("a")], request });
    }
    await store.close();
    expect(rowsOf(path, "SELECT id FROM requests ORDER BY n").map((row) => row["id"])).toEqual([
      "r7",
      "r8",
      "r9",
    ]);
  });

  test("the history says what was there before, and when", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    const system = new FakeSystem({ wallMs: 1_800_000_000_000 });
    const store = await openAt(path, { system });
    await put(store, putRoute("a", { labels: { v: "1" } }));
    system.advance(1000);
    await put(
      store,
      putRoute("a", { labels: { v: "2" } }),
      removeRoute("a"),
      removeRoute("nobody"),
    );
    await store.close();
    const history = rowsOf(
      path,
      "SELECT revision, seq, before, wall_ms FROM history ORDER BY revision, seq",
    );
    expect(
      history.map(({ revision, seq, before, wall_ms }) => [
        revision,
        seq,
        before === null ? undefined : JSON.parse(String(before)).labels.v,
        Number(wall_ms) - 1_800_000_000_000,
      ]),
    ).toEqual([
      [1, 0, undefined, 0],
      [2, 0, "1", 1000],
      [2, 1, "2", 1000],
      [2, 2, undefined, 1000],
    ]);
  });

  test("a watcher that starts far back reads the disk, then memory, without a seam", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    const first = await openAt(path);
    for (let i = 0; i < 30; i++) await put(first, putRoute(`old${i}`));
    await first.close();
    const second = await openAt(path);
    const watched = take(second, revisionZero, 60);
    for (let i = 0; i < 30; i++) await put(second, putRoute(`new${i}`));
    expect((await watched).map((set) => set.revision)).toEqual(
      Array.from({ length: 60 }, (_, i) => i + 1),
    );
  });

  test("the file is for its owner alone, and so is a directory that is made for it", async () => {
    const directory = `${temporaryDirectory()}/new/state`;
    const store = await openAt(`${directory}/routes.db`);
    await put(store, putRoute("a"));
    for (const name of ["routes.db", "routes.db-wal"]) {
      expect((statSync(`${directory}/${name}`).mode & 0o777).toString(8)).toBe("600");
    }
    expect((statSync(directory).mode & 0o777).toString(8)).toBe("700");
    expect(existsSync(`${directory}/routes.db-shm`)).toBe(false);
  });

  test("every commit is synced: SQLite is told so, and did not fall back", async () => {
    const { db } = await openWithConnection();
    expect(db.prepare("PRAGMA synchronous").get()).toMatchObject({ synchronous: 2 });
    expect(db.prepare("PRAGMA journal_mode").get()).toMatchObject({ journal_mode: "wal" });
    expect(db.prepare("PRAGMA locking_mode").get()).toMatchObject({ locking_mode: "exclusive" });
  });

  test("a write is in the files before it is acknowledged: a copy of them as they are has it", async () => {
    const directory = temporaryDirectory();
    const store = await openAt(`${directory}/routes.db`);
    await put(store, putRoute("a"), putRoute("b"));
    const copy = `${directory}/copy.db`;
    // By another process: closing a descriptor of the file here would drop the store's lock.
    await promisify(execFile)("cp", [`${directory}/routes.db`, copy]);
    await promisify(execFile)("cp", [`${directory}/routes.db-wal`, `${copy}-wal`]);
    expect((await (await openAt(copy)).read()).routes).toHaveLength(2);
  });
});

describe("SqliteStore: one owner", () => {
  test("a second process is refused, and says whose fault it is; a kill -9 frees the file", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    const holder = spawn(process.execPath, [child, "hold", path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => void holder.kill("SIGKILL"));
    await once(holder.stdout, "data");
    await expect(openAt(path)).rejects.toMatchObject({
      code: "store-unavailable",
      details: { reason: "STORE_IN_USE" },
      message: expect.stringMatching(/routes\.db: another process has it open.*--store/),
    });
    holder.kill("SIGKILL");
    await once(holder, "exit");
    expect((await (await openAt(path)).read()).revision).toBe(0);
  });

  test("this process keeps its store when another one tries", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    const store = await openAt(path);
    await put(store, putRoute("a"));
    const other = await promisify(execFile)(process.execPath, [child, "hold", path]).catch(
      (thrown: unknown) => thrown,
    );
    expect(other).toMatchObject({ code: 1, stdout: expect.stringContaining("STORE_IN_USE") });
    await put(store, putRoute("b"));
    expect((await store.read()).routes).toHaveLength(2);
  });

  test("a second store in the same process is refused too", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    const store = await openAt(path);
    await expect(openAt(path)).rejects.toMatchObject({ details: { reason: "STORE_IN_USE" } });
    await put(store, putRoute("a"));
    await store.close();
    expect((await (await openAt(path)).read()).routes).toHaveLength(1);
  });
});

describe("SqliteStore: a disk that fails", () => {
  test("a full disk is named, changes nothing, and what was stored still serves", async () => {
    const { store, db } = await openWithConnection();
    const revision = await put(store, putRoute("a"));
    db.exec("PRAGMA max_page_count = 1"); // as small as it can be: as many pages as there are
    const many = Array.from({ length: 1000 }, (_, i) => putRoute(`many-${i}`));
    const request = { id: "r", fingerprint: "f", answer: new Uint8Array() };
    for (let i = 0; i < 3; i++) {
      await expect(
        store.commit({ expected: revision, changes: many, request }),
      ).rejects.toMatchObject({
        code: "resource-exhausted",
        details: { reason: "STORE_FULL" },
        message: expect.stringMatching(/routes\.db: the disk is full.*free some space/),
      });
      expect((await store.read()).routes.map((route) => route.name)).toEqual(["a"]);
      expect(await store.findRequest("r")).toBeUndefined();
    }
    db.exec("PRAGMA max_page_count = 100000");
    expect(await store.commit({ expected: revision, changes: many, request })).toBe(revision + 1);
    expect((await store.read()).routes).toHaveLength(1001);
    expect(await take(store, revisionZero, 2)).toHaveLength(2);
  });

  test("a write that fails half way leaves nothing behind, not even its transaction", async () => {
    const { store, rows } = await openWithConnection();
    const failing = (): void =>
      rows.transaction(() => {
        rows.apply("routes", "half", "{}");
        throw new Error("half way");
      });
    expect(failing).toThrow("half way");
    expect(await put(store, putRoute("a"))).toBe(1);
    expect((await store.read()).routes.map((route) => route.name)).toEqual(["a"]);
    expect(store.rejected).toEqual([]);
  });

  test("a backend whose removal the store refuses stays, and goes once it is taken", async () => {
    const { store, db, system } = await openWithConnection();
    await put(store, putBackend("10.0.0.1:80", { ttlMs: 1000 }));
    db.exec("PRAGMA query_only = ON");
    system.advance(1000);
    expect((await store.read()).backends).toHaveLength(1);
    await expect(put(store, putRoute("a"))).rejects.toMatchObject({
      code: "failed-precondition",
      details: { reason: "STORE_NOT_WRITABLE" },
      message: expect.stringMatching(/routes\.db: cannot be written.*permission/),
    });
    db.exec("PRAGMA query_only = OFF");
    system.advance(1000);
    expect((await store.read()).backends).toHaveLength(0);
  });

  test("a write that does not fit is refused whole; smaller ones go on; nothing acknowledged is lost", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    // In blocks of 512 or 1024 bytes, as the shell likes: 2 or 4 MB.
    const script = `ulimit -f 4096 && exec "$0" "$@"`;
    const { stdout } = await promisify(execFile)(
      "sh",
      ["-c", script, process.execPath, child, "fill", path],
      {
        maxBuffer: 1 << 26,
      },
    );
    const result = JSON.parse(stdout);
    expect(result.refused.length).toBeGreaterThan(0);
    expect(result.refused[0]).toMatchObject({
      code: "store-unavailable",
      details: { reason: "STORE_IO" },
    });
    expect(result.acknowledged.length).toBeGreaterThan(100);
    expect(result.served.toSorted()).toEqual(result.acknowledged.toSorted());
    const { routes } = await (await openAt(path)).read();
    expect(routes.map((route) => String(route.name)).toSorted()).toEqual(
      result.acknowledged.toSorted(),
    );
  });
});

/** Reads a closed store's file. */
function rowsOf(path: string, sql: string) {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    return db.prepare(sql).all();
  } finally {
    db.close();
  }
}
