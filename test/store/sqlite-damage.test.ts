// Goal: a wrong bit or a missing end anywhere in the files of an SQLite store never stops the process and is
// never served: what is read is what was stored, or it is named as set aside, or the file is refused.
// Method: damage at many places of a good file, and of a good log.

import { execFileSync } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Change, Snapshot } from "../../src/model/change.ts";
import { RouterError } from "../../src/model/errors.ts";
import { revisionZero } from "../../src/model/revision.ts";
import { Table } from "../../src/model/table.ts";
import { SqliteStore } from "../../src/store/sqlite-store.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { put, putRoute, sorted, take } from "./samples.ts";
import { openAt, storedAt } from "./sqlite-fixture.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

/** Opens and reads the file: the good data, less what is named, or a clear refusal. Answers which. */
async function outcomeOf(path: string, good: Snapshot): Promise<"good" | "set aside" | "refused"> {
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

describe("SqliteStore: damage anywhere", { timeout: 60_000 }, () => {
  test("a wrong byte in the file gives the good data, data named as missing, or a refusal", async () => {
    const directory = temporaryDirectory();
    const good = await storedAt(`${directory}/good.db`, 60);
    const bytes = readFileSync(`${directory}/good.db`);
    const outcomes = { good: 0, "set aside": 0, refused: 0 };
    const random = new FakeSystem({ seed: 7 });
    for (let i = 0; i < 250; i++) {
      // The header and the page map that follows it, byte by byte, then anywhere.
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
    for (let i = 0; i < 80; i++) {
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
