// Goal: whatever happens between an etcd and its follower, it ends with etcd's content, and on the way its owner
// never saw time go back, a key twice or half a transaction.
// Method: random writes, deletes, cuts, stalls, lost and repeated events, compactions, failing calls and restarts from
// the copy, then quiet. Pairs of keys are always written together: a half would show. A failure prints its seed;
// SEED=n runs that one alone.

import { join } from "node:path";
import { expect, test } from "vitest";
import type { WatchMessage } from "../../src/etcd/etcd.ts";
import type { FollowedBatch } from "../../src/etcd/followed.ts";
import { FollowedPrefix } from "../../src/etcd/followed-prefix.ts";
import { closeIn, pass, RecordingOwner, range, sameContent } from "../etcd/followed-fixture.ts";
import { temporaryDirectory } from "../store/temporary-directory.ts";
import { FakeEtcd, unreachable } from "../support/fake-etcd.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { recordingLog } from "../support/recording-log.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { until } from "../support/until.ts";

const stepsMax = 250;
const only = process.env["SEED"];
const seeds = only === undefined ? Array.from({ length: 60 }, (_, n) => n + 1) : [Number(only)];
const pairsMax = 6;

/** Looks at every pair after every batch. */
class PairOwner extends RecordingOwner {
  override apply(batch: FollowedBatch): ReadonlySet<string> {
    const unread = super.apply(batch);
    for (let n = 0; n < pairsMax; n++) {
      const [left, right] = [this.serves.get(`/p/left/${n}`), this.serves.get(`/p/right/${n}`)];
      if (left !== right)
        this.faults.push(`half of pair ${n} at ${batch.revision}: ${left} ${right}`);
    }
    return unread;
  }
}

class World {
  readonly etcd = new FakeEtcd();
  readonly system: FakeSystem;
  readonly random: SeededRandom;
  readonly path = join(temporaryDirectory(), "copy");
  readonly faults: string[] = [];
  readonly trace: string[] = [];
  owner = new PairOwner();
  followed: FollowedPrefix;
  /** Every second seed compacts; the others must agree on the revision too. */
  readonly compacts: boolean;
  compacted = false;
  #writes = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.compacts = seed % 2 === 0;
    this.system = new FakeSystem({ seed });
    for (let n = 0; n < 40; n++) this.write();
    this.followed = this.open(this.owner, this.path);
  }

  open(owner: PairOwner, copyPath?: string): FollowedPrefix {
    return FollowedPrefix.open({
      etcd: this.etcd,
      system: this.system,
      log: recordingLog(),
      range,
      skip: { key: "/p/skip/", end: "/p/skip0" },
      counts: (key) => !key.startsWith("/p/nodes/"),
      owner,
      name: "etcd",
      ...(copyPath === undefined ? {} : { copyPath }),
    });
  }

  write(): void {
    const { random, etcd } = this;
    const n = random.below(pairsMax);
    const value = random.chance(0.3) ? undefined : `v${++this.#writes}`;
    const kind = random.below(10);
    if (kind < 4) etcd.putAll({ [`/p/left/${n}`]: value, [`/p/right/${n}`]: value });
    else if (kind < 6) etcd.putAll({ [`/p/one/${n}`]: value });
    else if (kind < 7) etcd.put(`/p/one/${n}`, `bad ${++this.#writes}`);
    else if (kind < 8) etcd.put(`/p/nodes/${n}`, `n${++this.#writes}`);
    else if (kind < 9) etcd.put(`/p/skip/${n}`, `s${++this.#writes}`);
    else etcd.elsewhere(1 + random.below(5));
  }

  /** What happens to one message of events. */
  fate(message: WatchMessage): "tell" | "lose" | "repeat" | "cut" {
    const { random, etcd } = this;
    const roll = random.below(100);
    if (roll < 3) return "cut";
    if (roll < 8) return "repeat";
    // Only whole answers get lost: etcd loses revisions, not halves of them.
    if (roll < 10 && message.kind === "events" && etcd.faults.fragmentEvents === Infinity) {
      return "lose";
    }
    return "tell";
  }

  async step(): Promise<void> {
    const { random, etcd } = this;
    const { faults } = etcd;
    const roll = random.below(100);
    const say = (what: string): void => void this.trace.push(`${etcd.revision} ${what}`);
    if (roll < 60) for (let n = random.below(4); n >= 0; n--) this.write();
    else if (roll < 66) etcd.cut();
    else if (roll < 69) etcd.cancelWatches("no leader");
    else if (roll < 72) faults.watchesStall = true;
    else if (roll < 76) etcd.resume();
    else if (roll < 78) faults.callsHang = true;
    else if (roll < 80) faults.down = unreachable();
    else if (roll < 85) faults.down = undefined;
    else if (roll < 87) this.compact();
    else if (roll < 89) faults.cutOnCreated = !faults.cutOnCreated;
    else if (roll < 92) faults.fragmentEvents = random.one([1, 2, 3, Infinity]);
    else if (roll < 94) this.loseSilently();
    else if (roll < 95) await this.restart();
    else if (roll < 96) faults.answerRevisions = random.one([1, 2, 1_000]);
    else if (roll < 97) etcd.say({ kind: "progress", header: etcd.header });
    else faults.answerBytesMax = random.one([20, 200, 1e9]);
    say(`step ${roll}`);
    await pass(this.system, random.one([0, 1, 20, 300, 3_000]));
  }

  compact(): void {
    if (!this.compacts) return;
    this.compacted = true;
    this.etcd.compact(Math.max(1, this.etcd.revision - this.random.below(10)));
  }

  loseSilently(): void {
    const text = this.random.chance(0.5) ? undefined : `lost ${++this.#writes}`;
    this.etcd.putSilently(`/p/one/${this.random.below(pairsMax)}`, text);
  }

  async restart(): Promise<void> {
    await closeIn(this.system, this.followed);
    this.faults.push(...this.owner.faults);
    this.owner = new PairOwner();
    this.followed = this.open(this.owner, this.path);
  }

  async heal(): Promise<void> {
    const { etcd } = this;
    Object.assign(etcd.faults, {
      down: undefined,
      cutOnCreated: false,
      answerBytesMax: 1e9,
      message: () => "tell",
    });
    etcd.beforeRange = () => {};
    etcd.resume();
    // The copy is read in real time, the rest passes in ours.
    const begun = (): boolean => (this.system.advance(1), this.owner.batches.length > 0);
    await until(begun, "a start");
    await pass(this.system, 75_000);
  }
}

test.for(seeds)("a follower ends with what etcd has, seed %i", async (seed) => {
  const world = new World(seed);
  const { etcd } = world;
  etcd.faults.message = (message) => world.fate(message);
  etcd.beforeRange = () => {
    if (world.random.chance(0.1)) world.write();
    if (world.compacts && world.random.chance(0.02)) world.compact();
  };
  for (let n = 0; n < stepsMax; n++) await world.step();
  await world.heal();
  const { followed, owner } = world;
  const hint = `SEED=${seed}; the end of its trace:\n${world.trace.slice(-25).join("\n")}`;
  expect([...world.faults, ...owner.faults], hint).toEqual([]);
  expect(followed.condition, hint).toEqual({ kind: "current" });
  expect(sameContent(withoutSkipped(followed), etcd, "/p/skip/"), hint).toBe(true);
  for (const { key, text = "" } of followed.entries.values()) {
    if (!text.startsWith("bad")) expect(owner.serves.get(key), `${key}; ${hint}`).toBe(text);
  }
  await closeIn(world.system, followed);
  const fresh = new PairOwner();
  const second = world.open(fresh);
  await pass(world.system, 500);
  // Both count alike, unless the newest delete is compacted.
  if (!world.compacted) expect(second.revision, hint).toBe(followed.revision);
  else expect(second.revision, hint).toBeLessThanOrEqual(followed.revision);
  await closeIn(world.system, second);
});

function withoutSkipped(followed: FollowedPrefix): FollowedPrefix["entries"] {
  expect([...followed.entries.keys()].filter((key) => key.startsWith("/p/skip/"))).toEqual([]);
  return followed.entries;
}
