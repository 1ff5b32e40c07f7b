// Goal: with a real etcd a write that WAIT_ALL confirms is in every node's table, at once, and a node that is cut off is
// named until its lease is over.
// Method: three nodes of store, table, members and service in one process, each over a relay; workers that serve at once.

import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { QuestionAnswers } from "../../src/control/question-answers.ts";
import { createRouterService, type RouterCalls } from "../../src/control/router-service.ts";
import { TableSource } from "../../src/control/table-source.ts";
import { EtcdClient } from "../../src/etcd/client.ts";
import * as proto from "../../src/gen/crosspoint/v1/router.ts";
import { parseRouteName } from "../../src/model/names.ts";
import { EtcdStore } from "../../src/store/etcd-store.ts";
import { realSystem } from "../../src/system.ts";
import { temporaryDirectory } from "../store/temporary-directory.ts";
import { type EtcdServer, startEtcd } from "../support/etcd-server.ts";
import { infoOf } from "../support/fake-members.ts";
import { FakeServing } from "../support/fake-serving.ts";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { recordingLog } from "../support/recording-log.ts";
import { routeFields } from "../support/rpc-node.ts";
import { until } from "../support/until.ts";

let etcd: EtcdServer;
let prefixes = 0;

beforeAll(async () => void (etcd = await startEtcd()));
afterAll(() => etcd.stop());

interface Node {
  readonly name: string;
  readonly service: RouterCalls;
  readonly source: TableSource;
  readonly store: EtcdStore;
  readonly relay: FaultProxy;
}

async function startNode(name: string, prefix: string): Promise<Node> {
  const relay = await startFaultProxy({ port: etcd.port });
  const files = { caFile: undefined, certFile: undefined, keyFile: undefined };
  const user = { user: undefined, password: undefined, passwordFile: undefined };
  const client = await EtcdClient.open(
    { endpoints: [relay.endpoint], ...user, ...files },
    realSystem,
  );
  const log = recordingLog();
  const system = realSystem;
  const directory = temporaryDirectory();
  const store = await EtcdStore.open({
    etcd: client,
    prefix,
    nodeName: name,
    directory,
    system,
    log,
  });
  const source = await TableSource.start({ store, system, log });
  await store.members.announce(infoOf(name));
  await source.reached((await store.read()).revision, new AbortController().signal);
  const serving = new FakeServing();
  Object.defineProperty(serving, "nodeName", { value: name });
  serving.serve(source.table.revision);
  source.subscribe(({ revision }) => serving.serve(revision));
  const { members } = store;
  const answers = QuestionAnswers.start({ members, serving, view: source, system, log });
  const info = () => infoOf(name);
  const service = createRouterService({ store, view: source, serving, system, info });
  onTestFinished(async () => {
    answers.stop();
    await source.stop();
    await store.close();
    await relay.close();
  });
  return { name, service, source, store, relay };
}

async function three(): Promise<[Node, Node, Node]> {
  const prefix = `/all-${++prefixes}`;
  const names = ["a", "b", "c"];
  const nodes = await Promise.all(names.map((name) => startNode(name, prefix)));
  for (const { store } of nodes) {
    await until(() => store.members.list().every(({ starting }) => !starting), "the start");
    await until(() => store.members.list().length === 3, "three nodes");
  }
  return nodes as [Node, Node, Node];
}

const contextOf = (remainingMs: number) => ({ signal: new AbortController().signal, remainingMs });
const add = (host: string, wait: proto.Wait): proto.AddRouteRequest =>
  proto.AddRouteRequest.fromPartial({ route: routeFields(host), wait });

test("300 routes by three nodes, some at once: each is in every table when its call returns", async () => {
  const nodes = await three();
  const tookMs: number[] = [];
  const addOne = async (node: Node, name: string): Promise<void> => {
    const startMs = performance.now();
    const answer = await node.service.addRoute(add(`${name}.io`, proto.Wait.ALL), contextOf(9_000));
    tookMs.push(performance.now() - startMs);
    expect(answer.lagging).toEqual([]);
    const stored = parseRouteName(answer.route?.name ?? "");
    for (const { source } of nodes) {
      expect(source.table.route(stored)?.revision).toBe(Number(answer.revision));
    }
  };
  for (let i = 0; i < 200; i++) await addOne(nodes[i % 3]!, `one-${i}`);
  const median = tookMs.toSorted((x, y) => x - y)[100]!;
  for (let i = 0; i < 10; i++) {
    await Promise.all(
      Array.from({ length: 10 }, (_, n) => addOne(nodes[n % 3]!, `many-${i}-${n}`)),
    );
  }
  expect(median).toBeLessThan(100);
}, 60_000);

test("what nobody waits for makes no node write, and what already is so is asked without a write", async () => {
  const [a, b] = await three();
  await a.service.addRoute(add("x.io", proto.Wait.ALL), contextOf(5_000));
  const entry = (): Promise<string> => etcd.ctl("get", `/all-${prefixes}/nodes/b`, "-w", "json");
  const before = await entry();
  for (let i = 0; i < 20; i++) {
    await a.service.addRoute(add(`n${i}.io`, proto.Wait.NODE), contextOf(5_000));
  }
  await until(() => b.source.table.revision === a.source.table.revision, "b to follow");
  expect((await entry()).split('"kvs"')[1]).toBe(before.split('"kvs"')[1]);
  const again = await b.service.addRoute(add("n19.io", proto.Wait.ALL), contextOf(5_000));
  expect(again.lagging).toEqual([]);
  const { nodes } = await a.service.listNodes({}, contextOf(5_000));
  expect(nodes.map(({ name, state, revisionLag }) => [name, state, revisionLag])).toEqual([
    ["a", proto.Node_State.SERVING, 0n],
    ["b", proto.Node_State.SERVING, 0n],
    ["c", proto.Node_State.SERVING, 0n],
  ]);
});

test("a node that is cut off is named, and silent in the list; the write stands", async () => {
  const [a, , c] = await three();
  await a.service.addRoute(add("x.io", proto.Wait.ALL), contextOf(5_000));
  c.relay.blackhole();
  const { lagging } = await a.service.addRoute(add("late.io", proto.Wait.ALL), contextOf(1_500));
  expect(lagging.map(({ node }) => node)).toEqual(["c"]);
  expect(lagging[0]?.reason).toMatch(/has not reported revision \d+ \(reported \d+ last\)/);
  const { nodes } = await a.service.listNodes({}, contextOf(5_000));
  expect(nodes.map(({ name, state }) => `${name} ${state}`)).toEqual([
    `a ${proto.Node_State.SERVING}`,
    `b ${proto.Node_State.SERVING}`,
    `c ${proto.Node_State.SILENT}`,
  ]);
  expect(nodes[2]?.revisionLag).toBe(1n);
});

test("5,000 changes are one for all, with an answer that is kept for its request id", async () => {
  const nodes = await three();
  const [a, b] = nodes;
  const request = (service: string): proto.ApplyChangesRequest =>
    proto.ApplyChangesRequest.fromPartial({
      changes: Array.from({ length: 5_000 }, (_, i) => ({
        change: {
          $case: "putRoute",
          value: { ...routeFields(`h${i}.io`), name: `r${i}`, service },
        },
      })),
      wait: proto.Wait.ALL,
      requestId: `apply-${service}`,
    });
  const halves: string[] = [];
  for (const { name, source } of nodes) {
    source.subscribe(() => {
      const services = new Set(Array.from(source.table.routes(), (route) => route.service));
      if (services.size > 1 || source.table.routeCount % 5_000 > 0) halves.push(name);
    });
  }
  const tookMs: number[] = [];
  for (const service of ["old", "new"]) {
    const startMs = performance.now();
    const answer = await a.service.applyChanges(request(service), contextOf(20_000));
    tookMs.push(Math.round(performance.now() - startMs));
    expect(answer.lagging).toEqual([]);
    expect(answer.results).toHaveLength(5_000);
    for (const { source } of nodes) {
      expect(source.table.revision).toBe(Number(answer.revision));
      const wrong = Array.from(source.table.routes()).filter((route) => route.service !== service);
      expect([source.table.routeCount, wrong]).toEqual([5_000, []]);
    }
    const again = await b.service.applyChanges(request(service), contextOf(20_000));
    expect(again).toEqual(answer);
  }
  expect(halves).toEqual([]);
  console.log(`5,000 changes by ApplyChanges(WAIT_ALL): ${tookMs.join(" and ")} ms`);
}, 60_000);
