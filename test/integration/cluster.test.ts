// Goal: what nodes that share an etcd promise: served everywhere when WAIT_ALL answers; an etcd that dies, loses its
// leader, holds garbage or never comes back costs no request and no acknowledged write.
// Method: the soak programs, small: real nodes in processes of their own, real etcds, fresh connections.

import { describe, expect, test } from "vitest";
import { type EtcdGoneFigures, etcdGoneFailures, runEtcdGone } from "../soak/etcd-gone.ts";
import {
  type LeaderKillFigures,
  leaderKillFailures,
  runLeaderKill,
} from "../soak/etcd-leader-kill.ts";
import { type EtcdPoisonFigures, etcdPoisonFailures, runEtcdPoison } from "../soak/etcd-poison.ts";
import {
  type EtcdRestartFigures,
  etcdRestartFailures,
  runEtcdRestart,
} from "../soak/etcd-restart.ts";
import {
  runServedEverywhere,
  type ServedEverywhereFigures,
  servedEverywhereFailures,
} from "../soak/served-everywhere.ts";

const seed = 20_261_121;
const timeoutMs = 90_000;

describe("three nodes on one etcd", () => {
  test("a route is served by all when AddRoute(WAIT_ALL) answers", {
    timeout: timeoutMs,
  }, async () => {
    const figures = await runServedEverywhere(20, 500);
    expect(servedEverywhereFailures(figures), figures.complaints.join("\n")).toEqual([]);
  });

  test("the leader killed during WAIT_ALL: nobody claims what is not so", {
    timeout: timeoutMs,
  }, async () => {
    const figures = await runLeaderKill(2, seed);
    expect(leaderKillFailures(figures)).toEqual([]);
    expect(figures.served).toBeGreaterThan(0);
  });
});

describe("two nodes on one etcd", () => {
  test("etcd killed under traffic and writes: nothing fails, nothing is lost", {
    timeout: timeoutMs,
  }, async () => {
    expect(etcdRestartFailures(await runEtcdRestart(4, 2, seed))).toEqual([]);
  });

  test("etcd gone for good: nodes restart from their copy", { timeout: timeoutMs }, async () => {
    expect(etcdGoneFailures(await runEtcdGone(3))).toEqual([]);
  });

  test("bad values of every kind: the good ones go on", { timeout: timeoutMs }, async () => {
    expect(etcdPoisonFailures(await runEtcdPoison(60, seed))).toEqual([]);
  });
});

describe("the judges see", () => {
  const everywhere: ServedEverywhereFigures = {
    rounds: 1,
    routes: 0,
    misses: 0,
    stale: 0,
    lagging: 0,
    addMs: [],
    removeMs: [],
    complaints: [],
  };
  test.for([{ misses: 1 }, { stale: 1 }, { lagging: 1 }])("%o", (wrong) => {
    expect(servedEverywhereFailures(everywhere)).toEqual([]);
    expect(servedEverywhereFailures({ ...everywhere, ...wrong })).toHaveLength(1);
  });

  test("an idle run, and what is broken", () => {
    const restart: EtcdRestartFigures = {
      rounds: 1,
      requests: 1,
      failedRequests: 0,
      acknowledged: 1,
      refused: 0,
      unknown: 0,
      settledMs: 1,
      broken: [],
    };
    expect(etcdRestartFailures(restart)).toEqual([]);
    expect(etcdRestartFailures({ ...restart, acknowledged: 0 })).toHaveLength(1);
    expect(etcdRestartFailures({ ...restart, broken: ["x"] })).toEqual(["x"]);
    const leader: LeaderKillFigures = {
      rounds: 1,
      served: 1,
      lagging: 0,
      failed: new Map(),
      callMs: [],
      broken: [],
    };
    expect(leaderKillFailures(leader)).toEqual([]);
    expect(leaderKillFailures({ ...leader, served: 0 })).toHaveLength(1);
    expect(leaderKillFailures({ ...leader, broken: ["x"] })).toEqual(["x"]);
    const poison: EtcdPoisonFigures = {
      values: 1,
      crashes: 0,
      servedMs: [],
      rejected: 1,
      broken: [],
    };
    expect(etcdPoisonFailures(poison)).toEqual([]);
    expect(etcdPoisonFailures({ ...poison, crashes: 1 })).toHaveLength(1);
    const gone: EtcdGoneFigures = {
      requests: 1,
      failed: [],
      restartMs: [1, 1],
      readiness: ["200 stale", "200 stale"],
    };
    expect(etcdGoneFailures(gone)).toEqual([]);
    expect(etcdGoneFailures({ ...gone, failed: ["x"] })).toEqual(["x"]);
    expect(etcdGoneFailures({ ...gone, readiness: ["200 ok", "200 stale"] })).toHaveLength(1);
  });
});
