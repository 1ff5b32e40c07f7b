// Goal: whatever lies at the path of an SQLite store, the process lives: it serves the good data, or it says
// which file is wrong, why, and what to do. Never wrong data, never half of it without saying so.
// Method: real files, each broken in one way; damage at many places of a good file, and of a good log.

import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Change, Snapshot } from "../../src/model/change.ts";
import { RouterError } from "../../src/model/errors.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { revisionZero } from "../../src/model/revision.ts";
import { Table } from "../../src/model/table.ts";
import { openStore } from "../../src/store/open-store.ts";
import { openSqliteFile } from "../../src/store/sqlite-file.ts";
import { migrations } from "../../src/store/sqlite-schema.ts";
import { SqliteStore } from "../../src/store/sqlite-store.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { put, putBackend, putRoute, sorted, take } from "./samples.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

async function openAt(path: string) {
  const store = await SqliteStore.open({ path, system: new FakeSystem() });
  onTestFinished(() => store.close());
  return store;
}

async function refusalOf(path: string): Promise<RouterError> {
  const thrown: unknown = await openAt(path).catch((error: unknown) => error);
  if (!(thrown instanceof RouterError)) throw new Error(`${path} was opened`);
  return thrown;
}

/** A closed store's file; `count` routes and some more. */
async function storedAt(path: string, count = 3): Promise<Snapshot> {
  const store = await openAt(path);
  for (let i = 0; i < count; i++) await put(store, putRoute(`r${i}`, { labels: { n: `${i}` } }));
  await put(store, putBackend("10.0.0.1:80"), {
    kind: "service-put",
    service: { name: parseServiceName("web"), policy: undefined },
  });
  const { revision } = await store.read();
  const request = { id: "id", fingerprint: "f", answer: new Uint8Array(9) };
  await store.commit({ expected: revision, changes: [putRoute("last")], request });
  const snapshot = sorted(await store.read());
  await store.close();
  return snapshot;
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
      says: /schema version 2.*knows up to 1.*newer build/,
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

describe("SqliteStore: damage anywhere", () => {
  /** Opens and reads the file: the good data, less what is named, or a clear refusal. Answers which. */
  async function outcomeOf(
    path: string,
    good: Snapshot,
  ): Promise<"good" | "set aside" | "refused"> {
    let store: SqliteStore | undefined;
    try {
      store = await SqliteStore.open({ path, system: new FakeSystem() });
      const read = sorted(await store.read());
      expect(read.revision).toBe(good.revision);
      const routes = new Map(good.routes.map((route) => [route.name, route]));
      for (const route of read.routes) expect(route).toEqual(routes.get(route.name));
      if (store.rejected.length > 0) return "set aside";
      expect(read).toEqual(good);
      return "good";
    } catch (thrown) {
      if (!(thrown instanceof RouterError)) throw thrown;
      expect(thrown.message).toContain(path);
      expect(thrown.details.reason).toMatch(/^STORE_/);
      return "refused";
    } finally {
      await store?.close();
    }
  }

  test("a wrong byte in the file gives the good data, data named as missing, or a refusal", async () => {
    const directory = temporaryDirectory();
    const good = await storedAt(`${directory}/good.db`, 60);
    const bytes = readFileSync(`${directory}/good.db`);
    const outcomes = { good: 0, "set aside": 0, refused: 0 };
    const random = new FakeSystem({ seed: 7 });
    for (let i = 0; i < 400; i++) {
      // The first page holds the header and the schema: every other byte there, then anywhere.
      const at = i < 150 ? i : Math.floor(random.random() * bytes.length);
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << Math.floor(random.random() * 8));
      const path = `${directory}/damaged.db`;
      writeFileSync(path, damaged);
      outcomes[await outcomeOf(path, good)]++;
    }
    expect(Math.min(...Object.values(outcomes))).toBeGreaterThan(5);
  });

  test("a file that ends anywhere gives the good data or a refusal", async () => {
    const directory = temporaryDirectory();
    const good = await storedAt(`${directory}/good.db`, 60);
    const bytes = readFileSync(`${directory}/good.db`);
    for (let length = 1; length < bytes.length; length += 997) {
      writeFileSync(`${directory}/cut.db`, bytes.subarray(0, length));
      expect(await outcomeOf(`${directory}/cut.db`, good)).toBe("refused");
    }
  });

  test("a log that is torn or wrong anywhere gives an earlier state, whole", async () => {
    const directory = temporaryDirectory();
    const store = await openAt(`${directory}/routes.db`);
    const states = new Map([[0, sorted(await store.read())]]);
    for (let i = 0; i < 15; i++) {
      const changes: Change[] = [
        putRoute(`a${i % 4}`, { labels: { n: `${i}` } }),
        putRoute(`b${i}`),
      ];
      const revision = await put(store, ...changes);
      states.set(revision, sorted(await store.read()));
    }
    execFileSync("cp", [`${directory}/routes.db`, `${directory}/main`]);
    execFileSync("cp", [`${directory}/routes.db-wal`, `${directory}/log`]);
    const log = readFileSync(`${directory}/log`);
    const random = new FakeSystem({ seed: 9 });
    const seen = new Set<number>();
    for (let i = 0; i < 150; i++) {
      const at = Math.floor(random.random() * log.length);
      const damaged = Buffer.from(i % 2 === 0 ? log.subarray(0, at) : log);
      if (i % 2 === 1) damaged[at] = (damaged[at] ?? 0) ^ 0x10;
      const path = `${directory}/torn${i}.db`;
      copyFileSync(`${directory}/main`, path);
      writeFileSync(`${path}-wal`, damaged);
      const torn = await SqliteStore.open({ path, system: new FakeSystem() });
      const read = sorted(await torn.read());
      expect(read).toEqual(states.get(read.revision));
      expect(torn.rejected).toEqual([]);
      if (read.revision > 0) {
        const replayed = new Table();
        for (const set of await take(torn, revisionZero, read.revision)) replayed.apply(set);
        expect(sorted(replayed.snapshot())).toEqual(read);
      }
      await torn.close();
      seen.add(read.revision);
    }
    expect(seen.size).toBeGreaterThan(8);
  });
});
