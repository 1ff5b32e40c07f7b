// Goal: what is open where nothing new is to go is counted while there is such a place, told with the revision that
// makes it true, and added up over nodes; who has not told is named.

import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { OpenEverywhere } from "../../src/control/open-everywhere.ts";
import { OpenHere, type OpenNews } from "../../src/control/open-work.ts";
import { TableSource } from "../../src/control/table-source.ts";
import { openLookMsMax, openPlacesToldMax } from "../../src/limits.ts";
import { parseAddress } from "../../src/model/address.ts";
import type { Change } from "../../src/model/change.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { parseRevision } from "../../src/model/revision.ts";
import type { OpenWork } from "../../src/store/members.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { FakeMembers, infoOf } from "../support/fake-members.ts";
import { FakeServing } from "../support/fake-serving.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { recordingLog } from "../support/recording-log.ts";
import { backendOf } from "../support/table-fixtures.ts";
import { turns } from "../support/until.ts";

let system: FakeSystem;
let store: MemoryStore;
let source: TableSource;
let serving: FakeServing;
let here: OpenHere;
let news: OpenNews[];

beforeEach(async () => {
  system = new FakeSystem();
  store = new MemoryStore({ system });
  source = await TableSource.start({ store, system, log: recordingLog() });
  serving = new FakeServing();
  here = new OpenHere({ source, serving, system });
  news = [];
  here.subscribe((one) => void news.push(one));
  onTestFinished(async () => {
    here.stop();
    await source.stop();
    await store.close();
  });
});

async function write(...changes: Change[]): Promise<void> {
  await store.commit({ expected: source.table.revision, changes });
  await pass(0);
}

/** Lets time pass in steps, so that whoever waits in between goes on. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed <= ms; passed += 10) {
    system.advance(ms === 0 ? 0 : 10);
    await turns(4);
  }
}

const draining = (address: string, service = "web"): Change => ({
  kind: "backend-put",
  backend: { ...backendOf(service, address), drain: { state: "draining", deadlineMs: 1 } },
});
const removed = (address: string): Change => ({
  kind: "backend-removed",
  service: parseServiceName("web"),
  address: parseAddress(address),
});
const open = (inFlight: number, address = "10.0.0.1:80"): OpenWork["places"][number] => ({
  service: "web",
  address,
  inFlight,
});

describe("a node", () => {
  test("asks its workers only while something drains or is paused", async () => {
    await write({ kind: "backend-put", backend: backendOf("web", "10.0.0.1:80") });
    await pass(1_000);
    expect([serving.counts, here.report()]).toEqual([0, undefined]);
    await write(draining("10.0.0.1:80"));
    await pass(500);
    expect(serving.counts).toBeGreaterThan(500 / openLookMsMax);
    expect(here.report()).toEqual({ revision: 2, places: [], more: false });
    await write(removed("10.0.0.1:80"));
    const { counts } = serving;
    await pass(1_000);
    expect(serving.counts).toBeLessThanOrEqual(counts + 1);
    expect(here.report()).toBeUndefined();
  });

  test("tells what is open, that it is less, and that it has ended", async () => {
    serving.open = new Map([["web 10.0.0.1:80", 3]]);
    await write(draining("10.0.0.1:80"), draining("10.0.0.2:80"));
    await pass(50);
    expect(here.report()?.places).toEqual([open(3)]);
    serving.open.set("web 10.0.0.1:80", 1);
    await pass(openLookMsMax);
    expect(here.report()?.places).toEqual([open(1)]);
    serving.open.clear();
    await pass(openLookMsMax);
    expect(here.report()?.places).toEqual([]);
    expect(news).toEqual(["ended", "less", "ended"]);
  });

  test("has told nothing of a drain before every worker serves it", async () => {
    await write(draining("10.0.0.1:80"));
    await pass(50);
    serving.serve(1);
    await write(draining("10.0.0.2:80"));
    await pass(50);
    expect(here.report()?.revision).toBe(1);
    serving.serve(2);
    await pass(50);
    expect(here.report()?.revision).toBe(2);
  });

  test("tells the same again of a later table: a pause may have other bounds", async () => {
    await write(draining("10.0.0.1:80"));
    await pass(50);
    news.length = 0;
    await write(draining("10.0.0.1:80"));
    await pass(openLookMsMax);
    expect([news, here.report()?.revision]).toEqual([["less"], 2]);
    await pass(openLookMsMax * 3);
    expect(news).toEqual(["less"]);
  });

  test("tells nothing new while a worker is silent", async () => {
    serving.open = undefined;
    await write(draining("10.0.0.1:80"));
    await pass(500);
    expect(here.report()).toBeUndefined();
    serving.open = new Map();
    await pass(openLookMsMax);
    expect(here.report()?.revision).toBe(1);
  });

  test("counts all backends of a paused service, until it resumes", async () => {
    serving.open = new Map([["web ", 2]]);
    const name = parseServiceName("web");
    const pause = { queue: 1, queueMs: 1_000, sinceMs: 0 };
    await write({ kind: "service-put", service: { name, policy: undefined, options: { pause } } });
    await pass(50);
    expect(here.report()?.places).toEqual([open(2, "")]);
    await write({ kind: "service-put", service: { name, policy: undefined } });
    expect(here.report()).toBeUndefined();
  });

  test("says when there is more than it tells", async () => {
    const addresses = Array.from(
      { length: openPlacesToldMax + 1 },
      (_, n) => `10.0.${Math.floor(n / 250)}.${n % 250}:80`,
    );
    serving.open = new Map(addresses.map((address) => [`web ${address}`, 1]));
    await write(...addresses.map((address) => draining(address)));
    await pass(50);
    expect(here.report()).toMatchObject({ more: true });
    expect(here.report()?.places).toHaveLength(openPlacesToldMax);
  });
});

describe("all nodes", () => {
  const place = { service: "web", address: "10.0.0.1:80" };
  const since = parseRevision(5);
  const work = (revision: number, places: OpenWork["places"] = [], more = false): OpenWork => ({
    revision: parseRevision(revision),
    places,
    more,
  });

  function everywhere(
    own: OpenWork | undefined,
    others: Readonly<Record<string, OpenWork | undefined>>,
  ) {
    const members = new FakeMembers();
    for (const [name, said] of Object.entries(others)) {
      members.set({
        ...infoOf(name),
        servedRevision: since,
        lag: undefined,
        starting: false,
        reportId: name,
        ...(said && { open: said }),
      });
    }
    const parts = { here: { report: () => own, subscribe: () => () => {} }, members };
    return new OpenEverywhere({ ...parts, nodeName: "a" }).at(place, since);
  }

  test.for([
    ["what is open is added up", work(5, [open(1)]), { b: work(6, [open(2)]) }, 3, []],
    ["nothing named is nothing open", work(5), { b: work(5, [open(9, "10.0.0.2:80")]) }, 0, []],
    ["what was counted before the drain says nothing", work(4), { b: work(4) }, 0, ["a", "b"]],
    ["nor does who counts nothing", undefined, { b: undefined }, 0, ["a", "b"]],
    ["nor a list that is not whole", work(5), { b: work(5, [], true) }, 0, ["b"]],
    ["but what it names is known", work(5), { b: work(5, [open(2)], true) }, 2, []],
    ["what this node's entry says is its own old word", work(5), { a: work(5, [open(7)]) }, 0, []],
  ] as const)("%s", ([, own, others, inFlight, untold]) => {
    expect(everywhere(own, others)).toEqual({ inFlight, untold });
  });
});
