// Goal: a drain ends when nothing is open or its time is over, by the node that was asked, or by another one when that
// is dead; once, whoever tries.
// Method: nodes on one table, a clock under the test's hand, writes that can fail; what is open is set by the test.

import { beforeEach, describe, expect, test } from "vitest";
import { BackendDrains, type DrainEnd } from "../../src/control/backend-drains.ts";
import { planChanges } from "../../src/control/change-plan.ts";
import type { LeavingDraft } from "../../src/control/leaving-plan.ts";
import type { StillOpen } from "../../src/control/open-everywhere.ts";
import { storedAsServed } from "../../src/control/table-view.ts";
import { drainOrphanMs, drainRetryMs } from "../../src/limits.ts";
import { parseAddress } from "../../src/model/address.ts";
import type { Change, ChangeSet } from "../../src/model/change.ts";
import { RouterError } from "../../src/model/errors.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { Table } from "../../src/model/table.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { type RecordingLog, recordingLog } from "../support/recording-log.ts";
import { backendOf } from "../support/table-fixtures.ts";
import { turns } from "../support/until.ts";

const service = parseServiceName("web");
const address = parseAddress("10.0.0.7:80");
const nothing: StillOpen = { inFlight: 0, untold: [] };
const never = new AbortController().signal;

/** A store that all nodes share. */
class World {
  readonly system = new FakeSystem();
  readonly table = new Table();
  readonly history: string[] = [];
  /** What writes reject with. */
  away: RouterError | undefined;
  readonly #listeners = new Set<(changeSet: ChangeSet) => void>();

  constructor() {
    this.apply({ kind: "backend-put", backend: backendOf("web", "10.0.0.7:80") });
  }

  apply(...changes: Change[]): number {
    const revision = parseRevision(this.table.revision + 1);
    this.table.apply({ revision, changes });
    for (const change of changes) this.history.push(textOf(change));
    for (const listener of this.#listeners) listener({ revision, changes });
    return revision;
  }

  write(draft: LeavingDraft): number {
    if (this.away !== undefined) throw this.away;
    const stored = storedAsServed(this.table);
    const steps = planChanges([draft], this.table, this.system.wallMs(), stored);
    const changes = steps.flatMap(({ change }) => (change === undefined ? [] : [change]));
    return changes.length === 0 ? this.table.revision : this.apply(...changes);
  }

  drain(ms: number): number {
    const deadlineMs = this.system.wallMs() + ms;
    return this.write({ kind: "drain-backend", service, address, deadlineMs });
  }

  subscribe(listener: (changeSet: ChangeSet) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

function textOf(change: Change): string {
  if (change.kind !== "backend-put") return change.kind;
  const { drain } = change.backend;
  return drain === undefined
    ? "put"
    : `${drain.state}${drain.cut === undefined ? "" : ` ${drain.cut}`}`;
}

class Node {
  readonly log: RecordingLog = recordingLog();
  readonly drains: BackendDrains;
  readonly #stopped = new AbortController();
  readonly #world: World;
  #look: () => void = () => {};
  open: StillOpen = nothing;

  constructor(world: World, isAlone = false) {
    this.#world = world;
    this.drains = new BackendDrains({
      source: {
        table: world.table,
        stored: storedAsServed(world.table),
        subscribe: (listener) => world.subscribe(listener),
      },
      open: {
        isAlone,
        at: () => this.open,
        subscribe: (look) => {
          this.#look = look;
          return () => {};
        },
      },
      write: async (draft) => world.write(draft),
      stopped: this.#stopped.signal,
      system: world.system,
      log: this.log,
    });
  }

  /** DeregisterBackend at this node, as its call does it. */
  ask(ms: number, signal: AbortSignal = never): Promise<DrainEnd | undefined> {
    const wait = this.drains.expect(service, address);
    return wait.ended(parseRevision(this.#world.drain(ms)), signal);
  }

  tells(open: Partial<StillOpen>): void {
    this.open = { ...nothing, ...open };
    this.#look();
  }

  die(): void {
    this.#stopped.abort();
  }
}

let world: World;
beforeEach(() => void (world = new World()));

async function pass(ms: number): Promise<void> {
  world.system.advance(ms);
  await turns();
}

describe("the node that was asked", () => {
  test("ends the drain as soon as nothing is open", async () => {
    const node = new Node(world);
    node.tells({ inFlight: 2 });
    const end = node.ask(30_000);
    await pass(10_000);
    node.tells({ inFlight: 1 });
    await pass(10_000);
    expect(world.history).toEqual(["put", "draining"]);
    node.tells({});
    expect(await end).toEqual({ revision: 4, cut: 0, hasDrained: true });
    expect(world.history).toEqual(["put", "draining", "drained 0", "backend-removed"]);
  });

  test("cuts what is open when the time is over, and counts it", async () => {
    const node = new Node(world);
    node.tells({ inFlight: 3 });
    const end = node.ask(30_000);
    await pass(29_999);
    expect(world.history).toHaveLength(2);
    await pass(1);
    expect(await end).toEqual({ revision: 4, cut: 3, hasDrained: true });
    expect(world.history.at(-2)).toBe("drained 3");
  });

  test("waits for a node that has not told, no longer than the time", async () => {
    const node = new Node(world);
    node.tells({ untold: ["b"] });
    const end = node.ask(5_000);
    await pass(4_999);
    expect(world.history).toHaveLength(2);
    await pass(1);
    expect(await end).toEqual({ revision: 4, cut: 0, hasDrained: true });
    expect(node.log.entries.some(({ fields }) => fields["untold"] === "b")).toBe(true);
  });

  test("goes on when its caller has left", async () => {
    const node = new Node(world);
    node.tells({ inFlight: 1 });
    const left = new AbortController();
    const end = node.ask(30_000, left.signal);
    left.abort();
    expect(await end).toBeUndefined();
    await pass(1_000);
    node.tells({});
    await turns();
    expect(world.history.at(-1)).toBe("backend-removed");
  });

  test("answers all who ask, by the earlier time", async () => {
    const node = new Node(world);
    node.tells({ inFlight: 1 });
    const ends = [30_000, 60_000, 2_000].map((ms) => node.ask(ms));
    await pass(2_000);
    expect(await Promise.all(ends)).toEqual(
      ends.map(() => ({ revision: 5, cut: 1, hasDrained: true })),
    );
    expect(world.history).toEqual(["put", "draining", "draining", "drained 1", "backend-removed"]);
  });

  test("offers the end again while the store is away", async () => {
    const node = new Node(world);
    node.tells({ inFlight: 1 });
    const end = node.ask(1_000);
    world.away = new RouterError("store-unavailable", "no answer");
    await pass(1_000);
    await pass(drainRetryMs * 1.5);
    expect(world.history).toHaveLength(2);
    expect(
      node.log.entries.filter(({ message }) => message.includes("could not be stored")),
    ).toHaveLength(1);
    world.away = undefined;
    await pass(drainRetryMs * 1.5);
    expect(await end).toEqual({ revision: 4, cut: 1, hasDrained: true });
  });

  test("a wall clock that jumps neither shortens nor prolongs", async () => {
    const node = new Node(world);
    node.tells({ inFlight: 1 });
    void node.ask(10_000);
    world.system.jumpWall(3_600_000);
    await pass(9_999);
    expect(world.history).toHaveLength(2);
    world.system.jumpWall(-7_200_000);
    await pass(1);
    expect(world.history.at(-1)).toBe("backend-removed");
  });

  test("hears that the backend went without it", async () => {
    const node = new Node(world);
    node.tells({ inFlight: 1 });
    const end = node.ask(10_000);
    world.apply({ kind: "backend-removed", service, address });
    expect(await end).toEqual({ revision: 3, cut: 0, hasDrained: false });
    await pass(20_000);
    expect(world.history).toEqual(["put", "draining", "backend-removed"]);
  });
});

describe("another node", () => {
  test("leaves it to the one that was asked", async () => {
    const [asked, other] = [new Node(world), new Node(world)];
    for (const node of [asked, other]) node.tells({ inFlight: 1 });
    const end = asked.ask(1_000);
    await pass(1_000);
    await end;
    await pass(3 * drainOrphanMs);
    expect(world.history).toEqual(["put", "draining", "drained 1", "backend-removed"]);
    expect(other.log.entries).toEqual([]);
  });

  test.for([
    ["its time is over", { inFlight: 2 }, 1_000, "drained 2"],
    ["nothing is open", {}, 0, "drained 0"],
  ] as const)(
    "ends it, a little after %s, when that one is dead",
    async ([, open, ms, drained]) => {
      const [asked, other] = [new Node(world), new Node(world)];
      asked.tells({ inFlight: 2 });
      other.tells(open);
      void asked.ask(1_000);
      asked.die();
      await pass(ms + drainOrphanMs - 1);
      expect(world.history).toEqual(["put", "draining"]);
      await pass(drainOrphanMs + 1);
      expect(world.history).toEqual(["put", "draining", drained, "backend-removed"]);
      expect(other.log.entries.map(({ message }) => message)).toContain(
        "a drain is ended by another node than was asked",
      );
    },
  );

  test("does so once, when there are several", async () => {
    world.drain(1_000);
    const nodes = Array.from({ length: 5 }, () => new Node(world));
    await pass(1_000 + 2 * drainOrphanMs);
    expect(world.history).toEqual(["put", "draining", "drained 0", "backend-removed"]);
    expect(nodes.some(({ log }) => log.entries.length > 0)).toBe(true);
  });

  test("removes what was drained and left behind", async () => {
    world.drain(1_000);
    world.write({ kind: "end-drain", service, address, cut: 4 });
    const { log } = new Node(world);
    await pass(2 * drainOrphanMs);
    expect(world.history).toEqual(["put", "draining", "drained 4", "backend-removed"]);
    expect(log.entries).toHaveLength(1);
  });

  test("that is asked to wait ends it at once, and tells what was cut", async () => {
    world.drain(1_000);
    const node = new Node(world);
    node.tells({ inFlight: 1 });
    await pass(1_500);
    expect(await node.ask(60_000)).toEqual({ revision: 4, cut: 1, hasDrained: true });
  });
});

test("a node whose store is its own ends at once what it finds draining", async () => {
  world.drain(60_000);
  const { log } = new Node(world, true);
  await turns();
  expect(log.entries).toEqual([]);
  expect(world.history).toEqual(["put", "draining", "drained 0", "backend-removed"]);
});

test("a backend that is registered again after its drain does not drain", async () => {
  const node = new Node(world);
  await node.ask(1_000);
  world.apply({ kind: "backend-put", backend: backendOf("web", "10.0.0.7:80") });
  await pass(60_000);
  expect(world.history.at(-1)).toBe("put");
});
