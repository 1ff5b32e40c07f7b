// Goal: whatever somebody writes into etcd, nothing throws, what was good serves on, every bad entry is listed, and good
// changes in between are there within a second.
// Method: 500 bad values of every kind on a real etcd that takes 10 MB, past the store; the test keeps its own account.
// SEED=n repeats the choices.

import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { EtcdClient } from "../../src/etcd/client.ts";
import { shownKey } from "../../src/etcd/etcd.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { EtcdStore } from "../../src/store/etcd-store.ts";
import { realSystem } from "../../src/system.ts";
import { type EtcdServer, startEtcd } from "../support/etcd-server.ts";
import { putRaw } from "../support/fill-etcd.ts";
import { poisonValue } from "../support/poison.ts";
import { recordingLog } from "../support/recording-log.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { settingOf } from "./etcd-fixture.ts";
import { put, putRoute, sorted } from "./samples.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

const prefix = "/crosspoint";
const goodRoutes = 20;
/** By which a good change must be there, in ms. */
const seenMsMax = 1_000;

let server: EtcdServer;
beforeAll(async () => {
  server = await startEtcd({ extraArgs: ["--max-request-bytes=33554432"] });
}, 30_000);
afterAll(() => server.stop());

async function opened(): Promise<EtcdStore> {
  const store = await EtcdStore.open({
    etcd: await EtcdClient.open(settingOf(server.endpoint), realSystem),
    system: realSystem,
    prefix,
    nodeName: "n1",
    directory: temporaryDirectory(),
    log: recordingLog(),
  });
  onTestFinished(() => store.close());
  return store;
}

/** ms until the store has the route, in that version. */
async function msUntilSeen(store: EtcdStore, name: string, service: string): Promise<number> {
  const startMs = performance.now();
  for (;;) {
    const { revision, routes } = await store.read();
    if (routes.some((route) => route.name === name && route.service === service)) break;
    if (performance.now() - startMs > 10_000) throw new Error(`${name} is not seen`);
    const signal = AbortSignal.timeout(10_000);
    for await (const _ of store.watch(revision, signal)) break;
  }
  return performance.now() - startMs;
}

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

test(`500 bad values change nothing but the list of rejected entries (SEED=${seed})`, async () => {
  const random = new SeededRandom(seed);
  const store = await opened();
  /** What each route should serve: its service. */
  const serving = new Map<string, string>();
  for (let n = 0; n < goodRoutes; n++) {
    await put(store, putRoute(`good-${n}`));
    serving.set(`good-${n}`, "web");
  }
  const bad = new Set<string>();
  const seenMs: number[] = [];
  for (let n = 0; n < 500; n++) {
    const { key, value } = poisonValue(random, n, goodRoutes);
    await putRaw(server.endpoint, `${prefix}/${key}`, value);
    if (isReadable(key, value)) {
      // The one kind that is wrong only beside another route: that is for the control plane to see.
      bad.delete(shownKey(`${prefix}/${key}`));
      serving.set(key.slice("routes/".length), "http-b");
    } else bad.add(shownKey(`${prefix}/${key}`));
    if (n % 10 !== 0) continue;
    const name = `new-${n}`;
    const service = `s${n}`;
    if (n % 20 === 0) {
      const text = `{"http":{"domain":"${name}.example.com"},"service":"${service}"}`;
      await putRaw(server.endpoint, `${prefix}/routes/${name}`, Buffer.from(text));
    } else await put(store, putRoute(name, { service: parseServiceName(service) }));
    seenMs.push(await msUntilSeen(store, name, service));
    serving.set(name, service);
  }
  expect(Math.max(...seenMs)).toBeLessThan(seenMsMax);
  // Seen when it is answered, and with it all that came before.
  await put(store, putRoute("last"));
  serving.set("last", "web");
  const { routes, revision } = sorted(await store.read());
  expect(Object.fromEntries(routes.map(({ name, service }) => [name, service]))).toEqual(
    Object.fromEntries([...serving].toSorted(([a], [b]) => (a < b ? -1 : 1))),
  );
  const { rejected } = store;
  expect(rejected.map(({ key }) => key).toSorted()).toEqual([...bad].toSorted());
  for (const { reason } of rejected) expect(reason).toMatch(/^.{5,300}$/);
  expect(store.condition).toEqual({ kind: "current" });

  // Who comes later knows no last good values, and says the same of the bad ones.
  const later = await opened();
  expect((await later.read()).revision).toBe(revision);
  expect(later.rejected.map(({ key }) => key).toSorted()).toEqual([...bad].toSorted());
}, 120_000);

function isReadable(key: string, value: Buffer): boolean {
  return /^routes\/(?:good|bad)-/.test(key) && value.includes('"domain":"good-');
}
