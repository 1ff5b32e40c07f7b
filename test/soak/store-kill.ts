// kill -9 under writes: node test/soak/store-kill.ts [rounds=100]
//
// A child opens the SQLite store and writes, single routes and many changes at once, and says before each write
// what it will be and after it which revision was acknowledged. The parent kills it at a random moment, opens
// the same file and compares (write-ledger.ts). The file lives through all rounds. Ends with one line of figures,
// and with status 1 when a promise was broken. SEED=n repeats the moments, as far as the machine allows.
//
// A kill leaves the kernel's cache intact: this shows that nothing is half there and that nothing is acknowledged
// before it is written; it does not show what a power failure does.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Change, ChangeSet, Snapshot } from "../../src/model/change.ts";
import { type Revision, revisionZero } from "../../src/model/revision.ts";
import { SqliteStore } from "../../src/store/sqlite-store.ts";
import type { Store } from "../../src/store/store.ts";
import { realSystem, sleep } from "../../src/system.ts";
import { putRoute, removeRoute } from "../store/samples.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { brokenPromises, type LedgerEntry } from "./write-ledger.ts";

const [first = "100", path, seed] = process.argv.slice(2);
if (first === "write" && path !== undefined) await write(path, Number(seed));
else process.exitCode = await main(Number(first));

/** The child: writes until it is killed. */
async function write(file: string, ownSeed: number): Promise<never> {
  const random = new FakeSystem({ seed: ownSeed });
  const store = await SqliteStore.open({ path: file, system: realSystem });
  let { revision } = await store.read();
  for (let n = 0; ; n++) {
    const changes = someChanges(random, `${ownSeed}-${n}`);
    say({ changes });
    revision = await store.commit({ expected: revision, changes });
    say({ revision });
  }
}

/** A single route, or up to 200 at once, some of them removals; `mark` makes every write one of its kind. */
function someChanges(random: FakeSystem, mark: string): readonly Change[] {
  const name = (): string => `r-${Math.floor(random.random() * 500)}`;
  const size = random.random() < 0.7 ? 1 : 2 + Math.floor(random.random() * 199);
  return Array.from({ length: size }, (_, i) =>
    i > 0 && random.random() < 0.3
      ? removeRoute(name())
      : putRoute(name(), { labels: { mark, i: `${i}` } }),
  );
}

/** Whole and at once, so that a kill cannot keep it back. */
function say(what: Partial<LedgerEntry>): void {
  const line = Buffer.from(`${JSON.stringify(what)}\n`);
  for (let at = 0; at < line.length; ) at += writeSync(1, line, at);
}

async function main(rounds: number): Promise<number> {
  const seedNow = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  const random = new FakeSystem({ seed: seedNow });
  const directory = mkdtempSync(join(tmpdir(), "crosspoint-kill-"));
  const file = join(directory, "routes.db");
  const sum = { acknowledged: 0, unanswered: 0, stored: 0, broken: 0, logBytes: 0 };
  let from: Snapshot = { revision: revisionZero, routes: [], services: [], backends: [] };
  for (let round = 0; round < rounds; round++) {
    const ledger = await writtenUntilKilled(file, seedNow + round, random);
    sum.logBytes = Math.max(
      sum.logBytes,
      statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0,
    );
    const store = await SqliteStore.open({ path: file, system: realSystem });
    const snapshot = await store.read();
    const history = await everything(store, from.revision, snapshot.revision);
    const broken = brokenPromises(ledger, from, { snapshot, history });
    for (const { key, reason } of store.rejected) broken.push(`set aside: ${key}: ${reason}`);
    await store.close();
    for (const line of broken.slice(0, 3)) console.error(`round ${round}: ${line.slice(0, 300)}`);
    sum.broken += broken.length;
    const acknowledged = ledger.filter((entry) => entry.revision !== undefined).length;
    sum.acknowledged += acknowledged;
    sum.unanswered += ledger.length - acknowledged;
    sum.stored += history.length - acknowledged;
    from = snapshot;
  }
  rmSync(directory, { recursive: true });
  console.log(
    `store-kill: ${rounds} rounds of kill -9, ${sum.acknowledged} writes acknowledged, ${sum.unanswered} cut off ` +
      `(${sum.stored} of them stored whole), largest log ${Math.round(sum.logBytes / 1024)} KiB, ` +
      `${from.routes.length} routes at revision ${from.revision}, ${sum.broken} promises broken (SEED=${seedNow})`,
  );
  return sum.broken === 0 && sum.acknowledged > 0 ? 0 : 1;
}

async function writtenUntilKilled(
  file: string,
  ownSeed: number,
  random: FakeSystem,
): Promise<LedgerEntry[]> {
  const self = fileURLToPath(import.meta.url);
  const child = spawn(process.execPath, [self, "write", file, String(ownSeed)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  const lines = linesOf(child);
  await Promise.race([once(child.stdout ?? child, "data"), ended]);
  await sleep(realSystem, random.random() * 150);
  child.kill("SIGKILL");
  await ended;
  const ledger: LedgerEntry[] = [];
  for (const line of (await lines).split("\n").slice(0, -1)) {
    const said: Partial<LedgerEntry> = JSON.parse(line);
    const last = ledger.at(-1);
    if (said.changes !== undefined) ledger.push({ changes: said.changes });
    else if (last !== undefined && said.revision !== undefined) last.revision = said.revision;
  }
  return ledger;
}

/** All that the child said; a line that the kill cut has no end and does not count. */
async function linesOf(child: ChildProcess): Promise<string> {
  let said = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (said += text));
  await once(child, "close");
  return said;
}

async function everything(store: Store, after: Revision, until: Revision): Promise<ChangeSet[]> {
  const history: ChangeSet[] = [];
  if (after === until) return history;
  for await (const changeSet of store.watch(after, new AbortController().signal)) {
    history.push(changeSet);
    if (changeSet.revision >= until) break;
  }
  return history;
}
