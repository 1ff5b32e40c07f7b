// Goal: whatever lies at the path of an SQLite store, the process lives: it serves the good data, or it says
// which file is wrong, why, and what to do. Never wrong data, never half of it without saying so.
// Method: real files, each broken in one way. Damage anywhere: sqlite-damage.test.ts.

import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import { RouterError } from "../../src/model/errors.ts";
import { revisionZero } from "../../src/model/revision.ts";
import { openStore } from "../../src/store/open-store.ts";
import { openSqliteFile } from "../../src/store/sqlite-file.ts";
import { migrations, rowCrc } from "../../src/store/sqlite-schema.ts";
import { encodeValue } from "../../src/store/value-codec.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { put, putBackend, putRoute, routeNamed, sorted, take } from "./samples.ts";
import { openAt, storedAt } from "./sqlite-fixture.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

async function refusalOf(path: string): Promise<RouterError> {
  const thrown: unknown = await openAt(path).catch((error: unknown) => error);
  if (!(thrown instanceof RouterError)) throw new Error(`${path} was opened`);
  return thrown;
}

function change(path: string, sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

describe("SqliteStore: what it refuses to open", () => {
  const cases: readonly {
    name: string;
    make: (path: string) => Promise<unknown> | void;
    says: RegExp;
    reason: string;
    code?: string;
  }[] = [
    {
      name: "a directory",
      make: (path) => mkdirSync(path),
      says: /is a directory.*name a file/,
      reason: "STORE_NOT_OPENED",
    },
    {
      name: "a text file",
      make: (path) => writeFileSync(path, "domain: app.example.com\n".repeat(99)),
      says: /damaged \(file is not a database\).*backup/,
      reason: "STORE_DAMAGED",
    },
    {
      name: "another program's SQLite file",
      make: (path) => change(path, "CREATE TABLE songs (title TEXT)"),
      says: /another program.*name another file/,
      reason: "STORE_FOREIGN",
    },
    {
      name: "another program's marked SQLite file",
      make: (path) => change(path, "PRAGMA application_id = 7; CREATE TABLE songs (title TEXT)"),
      says: /another program \(application_id 7\)/,
      reason: "STORE_FOREIGN",
    },
    {
      name: "a newer schema",
      async make(path) {
        await storedAt(path);
        change(path, `PRAGMA user_version = ${migrations.length + 1}`);
      },
      says: /schema version 3.*knows up to 2.*newer build/,
      reason: "STORE_TOO_NEW",
    },
    {
      name: "our mark without our tables",
      async make(path) {
        await storedAt(path);
        change(path, "DROP TABLE services");
      },
      says: /damaged \(no such table: services\)/,
      reason: "STORE_DAMAGED",
    },
    {
      name: "our tables without a revision",
      async make(path) {
        await storedAt(path);
        change(path, "DELETE FROM state");
      },
      says: /damaged \(its table of revisions is not whole\)/,
      reason: "STORE_DAMAGED",
    },
    {
      name: "an altered revision",
      async make(path) {
        await storedAt(path);
        change(path, "UPDATE state SET revision = revision + 1");
      },
      says: /table of revisions is not whole/,
      reason: "STORE_DAMAGED",
    },
    {
      name: "a revision beyond 2^53",
      async make(path) {
        await storedAt(path);
        change(path, "UPDATE state SET revision = 9223372036854775807");
      },
      says: /damaged/,
      reason: "STORE_DAMAGED",
    },
    {
      name: "a log whose main file is missing",
      make: (path) => writeFileSync(`${path}-wal`, "the only copy"),
      says: /missing, but routes\.db-wal is there/,
      reason: "STORE_DAMAGED",
    },
    {
      name: "a log whose main file is empty",
      make(path) {
        writeFileSync(path, "");
        writeFileSync(`${path}-wal`, "the only copy");
      },
      says: /empty, but routes\.db-wal is there/,
      reason: "STORE_DAMAGED",
    },
    {
      name: "a file of a few bytes",
      make: (path) => writeFileSync(path, "S"),
      says: /damaged \(it ends after 1 bytes\)/,
      reason: "STORE_DAMAGED",
    },
    {
      name: "a file cut in the middle",
      async make(path) {
        await storedAt(path, 200);
        truncateSync(path, 20_000);
      },
      says: /damaged/,
      reason: "STORE_DAMAGED",
    },
  ];

  test.for(cases)("$name", async ({ make, says, reason, code }) => {
    const path = `${temporaryDirectory()}/routes.db`;
    await make(path);
    const error = await refusalOf(path);
    expect(error.message).toMatch(says);
    expect(error.message).toContain(path);
    expect(error).toMatchObject({
      code: code ?? "failed-precondition",
      details: { reason, resource: { name: path } },
    });
  });

  test.for([
    ["below a file", "file/state/routes.db"],
    ["below a file, directly", "file/routes.db"],
  ])("a path %s", async ([, rest]) => {
    const directory = temporaryDirectory();
    writeFileSync(`${directory}/file`, "");
    const error = await refusalOf(`${directory}/${rest}`);
    expect(error.message).toMatch(/cannot be used \(E(NOTDIR|EXIST).*check the path/);
  });

  test("a directory where nobody may write", async () => {
    const error = await refusalOf("/proc/crosspoint/routes.db");
    expect(error).toMatchObject({
      code: "failed-precondition",
      details: { reason: "STORE_NOT_OPENED" },
    });
    expect(error.message).toContain("/proc/crosspoint/routes.db: cannot be used (");
  });

  test("a refused file is left as it was", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    change(path, "CREATE TABLE songs (title TEXT)");
    const before = readFileSync(path);
    await refusalOf(path);
    expect(readFileSync(path).equals(before)).toBe(true);
  });
});

describe("SqliteStore: what it opens", () => {
  test("an empty file, and one that was left before its tables were made", async () => {
    const directory = temporaryDirectory();
    writeFileSync(`${directory}/empty.db`, "");
    change(`${directory}/bare.db`, "PRAGMA journal_mode = WAL");
    for (const name of ["empty.db", "bare.db"]) {
      expect(await put(await openAt(`${directory}/${name}`), putRoute("a"))).toBe(1);
    }
  });

  test("an older schema, which it brings up to date in one step", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    const before = await storedAt(path);
    const next = [
      ...migrations,
      "ALTER TABLE services ADD COLUMN note TEXT NOT NULL DEFAULT 'none'",
    ];
    const db = openSqliteFile(path, next);
    expect(db.prepare("SELECT note FROM services").all()).toMatchObject([{ note: "none" }]);
    expect(db.prepare("SELECT count(*) AS n FROM routes").get()).toMatchObject({
      n: before.routes.length,
    });
    db.close();
    expect((await refusalOf(path)).details.reason).toBe("STORE_TOO_NEW");
  });

  test("a file of version 0.1, which does not open it from then on: it would leave out access lists", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    const before = await storedAt(path);
    change(path, "PRAGMA user_version = 1");
    const store = await openAt(path);
    expect(sorted(await store.read())).toEqual(before);
    await store.close();
    expect(() => openSqliteFile(path, migrations.slice(0, 1))).toThrow(/schema version 2/);
  });

  test("an older schema whose step fails stays what it was", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    const before = await storedAt(path);
    const broken = [
      ...migrations,
      "ALTER TABLE services ADD COLUMN note TEXT; SELECT * FROM nowhere",
    ];
    expect(() => openSqliteFile(path, broken)).toThrow("no such table: nowhere");
    expect(sorted(await (await openAt(path)).read())).toEqual(before);
  });

  test("openStore opens both kinds and names them", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    const system = new FakeSystem();
    const stores = [
      await openStore({ kind: "memory" }, system),
      await openStore({ kind: "sqlite", path }, system),
    ];
    expect(stores.map((store) => store.name)).toEqual(["memory:", `sqlite:${path}`]);
    for (const store of stores) await store.close();
  });
});

describe("SqliteStore: rows that cannot be read", () => {
  test("they are set aside and named, the rest serves, and a new put heals them", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    await storedAt(path, 10);
    change(
      path,
      `UPDATE routes SET value = replace(value, 'r3.example.com', 'evil.example.com') WHERE key = 'r3';
       UPDATE routes SET value = 'null', crc = 634125391 WHERE key = 'r4';
       UPDATE backends SET crc = 9223372036854775807;
       DELETE FROM routes WHERE key = 'r5'`,
    );
    const store = await openAt(path);
    const { routes, backends } = sorted(await store.read());
    expect(routes.map((route) => route.name)).toEqual([
      "last",
      "r0",
      "r1",
      "r2",
      "r6",
      "r7",
      "r8",
      "r9",
    ]);
    expect(backends).toEqual([]);
    expect(store.rejected).toEqual([
      { key: "route r3", reason: "the row is damaged: its checksum differs" },
      { key: "route r4", reason: expect.any(String) },
      { key: "routes", reason: "the file is damaged: 10 rows found, 11 were stored" },
      { key: "backend web 10.0.0.1:80", reason: "the row is damaged: its checksum differs" },
    ]);
    await put(store, putRoute("r3"), putRoute("r4"), putBackend("10.0.0.1:80"));
    expect(store.rejected.map(({ key }) => key)).toEqual(["routes"]);
    expect((await store.read()).routes).toHaveLength(10);
  });

  test.for([
    "UPDATE history SET change = replace(change, 'r1', 'r9') WHERE revision = 2",
    "DELETE FROM history WHERE revision = 2",
  ])("a revision of the history that is not whole is as one that is not kept: %s", async (sql) => {
    const path = `${temporaryDirectory()}/routes.db`;
    await storedAt(path);
    change(path, sql);
    const store = await openAt(path);
    const { revision } = await store.read();
    expect((await take(store, revisionZero, 1))[0]?.revision).toBe(1);
    await expect(take(store, revisionZero, 2)).rejects.toMatchObject({
      code: "out-of-range",
      details: { metadata: { oldest: String(revision) } },
    });
  });

  test("a row under another name than its own is set aside", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    await storedAt(path);
    const value = encodeValue(routeNamed("r1"));
    change(
      path,
      `UPDATE routes SET value = '${value}', crc = ${rowCrc("r2", value)} WHERE key = 'r2'`,
    );
    const store = await openAt(path);
    expect((await store.read()).routes.map((route) => route.name)).not.toContain("r2");
    expect(store.rejected).toEqual([{ key: "route r2", reason: 'the row names "r1"' }]);
  });

  test("a revision that lost its last change is not taken for a smaller one", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    const store = await openAt(path);
    await put(store, putRoute("a"), putRoute("b"));
    await store.close();
    change(path, "DELETE FROM history WHERE seq = 1");
    await expect(take(await openAt(path), revisionZero, 1)).rejects.toMatchObject({
      code: "out-of-range",
    });
  });

  test("the answer to a request id that is not whole is not given", async () => {
    const path = `${temporaryDirectory()}/routes.db`;
    await storedAt(path);
    change(path, "UPDATE requests SET answer = x'00'");
    await expect((await openAt(path)).findRequest("id")).rejects.toMatchObject({
      details: { reason: "STORE_DAMAGED" },
    });
  });
});
