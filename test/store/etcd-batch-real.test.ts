// Goal: on a real etcd 5,000 changes are one change, whoever follows or starts meanwhile, and leave nothing behind.
// Method: stores on one etcd; a reader counts at every change; what it took is printed.

import { expect, onTestFinished, test } from "vitest";
import { changesPerRequestMax } from "../../src/limits.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { revisionZero } from "../../src/model/revision.ts";
import type { EtcdStore } from "../../src/store/etcd-store.ts";
import { until } from "../support/until.ts";
import { etcdFixture } from "./etcd-fixture.ts";
import { putRoute, removeRoute } from "./samples.ts";

const etcd = etcdFixture();

/** Of how many routes each service has some, at each moment that the store shows. */
function follow(store: EtcdStore): Set<string> {
  const seen = new Set<string>();
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  void (async () => {
    seen.add(await countOf(store));
    const { revision } = await store.read();
    for await (const _ of store.watch(revision, stop.signal)) seen.add(await countOf(store));
  })();
  return seen;
}

async function countOf(store: EtcdStore): Promise<string> {
  const { routes } = await store.read();
  const old = routes.filter(({ service }) => service === "old").length;
  return `${old} old, ${routes.length - old} new`;
}

test("5,000 changes through one commit, twice, with readers that follow and that start meanwhile", async () => {
  const prefix = etcd.prefix();
  const writer = await etcd.open({ prefix });
  const follower = await etcd.open({ prefix, nodeName: "n2" });
  await follower.read();
  const seen = [follow(follower), follow(writer)];
  const count = changesPerRequestMax;
  const request = { id: "r", fingerprint: "f", answer: new Uint8Array(2 * 1024 * 1024).fill(1) };
  for (const service of ["old", "new"]) {
    const { revision: expected } = await writer.read();
    const startMs = performance.now();
    const writing = { over: false };
    const revision = writer
      .commit({
        expected,
        changes: Array.from({ length: count }, (_, i) =>
          putRoute(`route-number-${i}`, {
            service: parseServiceName(service),
            labels: { owner: "team-a", environment: "production" },
            matchRevision: revisionZero,
          }),
        ),
        request: { ...request, id: service },
      })
      .finally(() => (writing.over = true));
    for (let n = 3; !writing.over; n++) {
      const started = await etcd.open({ prefix, nodeName: `n${n}` });
      seen.push(new Set([await countOf(started)]));
      await started.close();
    }
    const ms = Math.round(performance.now() - startMs);
    const answered = await revision;
    await until(() => follower.condition.kind === "current", "a follower");
    expect((await writer.read()).revision).toBe(answered);
    console.log(`${count} changes: ${ms} ms, revisions ${expected} to ${answered}`);
  }
  const whole = ["0 old, 0 new", `${count} old, 0 new`, `0 old, ${count} new`];
  for (const one of seen) expect(whole).toEqual(expect.arrayContaining([...one]));
  expect(await etcd.server.ctl("get", "--prefix", "--keys-only", `${prefix}/batches/`)).toBe("");
  const { revision: expected, routes } = await writer.read();
  expect(new Set(routes.map(({ matchRevision }) => matchRevision)).size).toBe(1);
  expect(await follower.findRequest("new")).toMatchObject({
    revision: expected,
    answer: request.answer,
  });
  // And the answered revision is one to go on from.
  const changes = routes.map(({ name }) => removeRoute(name));
  await writer.commit({ expected, changes });
  expect(await countOf(writer)).toBe("0 old, 0 new");
}, 60_000);
