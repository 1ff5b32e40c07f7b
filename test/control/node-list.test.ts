// Goal: ListNodes says of every live node how far it is, asked on the spot, and takes a second at most.

import { describe, expect, test } from "vitest";
import { createRouterService } from "../../src/control/router-service.ts";
import * as proto from "../../src/gen/crosspoint/v1/router.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import type { Store } from "../../src/store/store.ts";
import { FakeMembers, infoOf } from "../support/fake-members.ts";
import { FakeServing } from "../support/fake-serving.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { FollowingView } from "../support/following-view.ts";
import { putRoute } from "../support/table-fixtures.ts";
import { turns } from "../support/until.ts";

const { Node_State: State } = proto;
const calm = { signal: new AbortController().signal, remainingMs: undefined };

/** node-1 at revision 3 of a store; its answer to ListNodes. */
class Listing {
  readonly system = new FakeSystem();
  readonly serving = new FakeServing();
  readonly members: FakeMembers | undefined;
  answer: proto.ListNodesResponse | undefined;

  constructor(members?: FakeMembers) {
    this.members = members;
  }

  async begin(remainingMs?: number): Promise<void> {
    const inner = new MemoryStore({ system: this.system });
    for (let i = 0; i < 3; i++) {
      const changes = [putRoute("web", `w${i}.io`)];
      await inner.commit({ expected: parseRevision(i), changes });
    }
    const { members, serving, system } = this;
    const store = new Proxy(inner, {
      get(target, name) {
        if (name === "members") return members;
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    }) as Store;
    const view = await FollowingView.of(store);
    const info = () => infoOf("node-1");
    const service = createRouterService({ store, view, serving, system, info });
    const answer = service.listNodes({}, { ...calm, remainingMs });
    void answer.then((nodes) => (this.answer = nodes));
    await turns();
  }

  async pass(ms: number): Promise<void> {
    this.system.advance(ms);
    await turns();
  }

  get lines(): string[] | undefined {
    return this.answer?.nodes.map(({ name, state, servedRevision, revisionLag, lagReason, self }) =>
      `${name}${self ? "*" : ""} ${proto.node_StateToJSON(state).slice(6)} ${servedRevision} -${revisionLag} ${lagReason}`.trim(),
    );
  }
}

describe("ListNodes", () => {
  test("of a store of one node lists that node, with what it knows of itself", async () => {
    const it = new Listing();
    await it.begin();
    expect(it.answer).toEqual({
      revision: 3n,
      nodes: [
        {
          name: "node-1",
          state: State.SERVING,
          servedRevision: 3n,
          revisionLag: 0n,
          lagReason: "",
          version: "0.1.0",
          workers: 2,
          io: "net",
          startTime: new Date(1_790_000_000_000),
          rpcAddress: "node-1.internal:7070",
          adminAddress: "127.0.0.1:7071",
          httpAddresses: ["0.0.0.0:8080"],
          self: true,
        },
      ],
    });
    expect(it.system.timerCount).toBe(0);
  });

  test("asks all and answers as soon as all have", async () => {
    const members = new FakeMembers("node-1", "z", "b");
    const it = new Listing(members);
    await it.begin();
    expect(members.asked).toEqual([{ revision: 3, waitMs: 900 }]);
    members.says("z", 3);
    await turns();
    expect(it.answer).toBeUndefined();
    members.says("b", 3);
    await turns();
    expect(it.lines).toEqual(["b SERVING 3 -0", "node-1* SERVING 3 -0", "z SERVING 3 -0"]);
    expect([members.listeners, it.system.timerCount]).toEqual([0, 0]);
  });

  test("counts the revisions that are missing, and says why", async () => {
    const members = new FakeMembers("node-1", "b", "c", "d");
    const it = new Listing(members);
    await it.begin();
    members.says("b", 1, { at: 3, reason: "worker 1 refused it", refused: true });
    members.says("c", 5, { at: 2, reason: "long over", refused: true });
    members.says("d", 0);
    await turns();
    await turns();
    expect(it.lines).toEqual([
      "b SERVING 1 -2 worker 1 refused it",
      "c SERVING 5 -0",
      "d SERVING 0 -3",
      "node-1* SERVING 3 -0",
    ]);
  });

  test("who is silent is listed after a second with what it said last, who starts as starting", async () => {
    const members = new FakeMembers("node-1", "b");
    members.says("b", 2);
    members.starts("c");
    const it = new Listing(members);
    await it.begin();
    await it.pass(999);
    expect(it.answer).toBeUndefined();
    await it.pass(1);
    expect(it.lines).toEqual(["b SILENT 2 -1", "c STARTING 0 -3", "node-1* SERVING 3 -0"]);
  });

  test("who comes or goes meanwhile is listed, or not", async () => {
    const members = new FakeMembers("node-1", "b");
    const it = new Listing(members);
    await it.begin();
    members.says("c", 3);
    members.goes("b");
    await turns();
    expect(it.lines).toEqual(["c SERVING 3 -0", "node-1* SERVING 3 -0"]);
  });

  test("this node's own lag", async () => {
    const it = new Listing();
    it.serving.serve(2);
    await it.begin();
    await it.pass(900);
    expect(it.lines).toEqual([
      "node-1* SERVING 2 -1 worker 2 has not acknowledged revision 3 (serves 2)",
    ]);
  });

  test("a node that is cut off says so, and lists the others as silent at once", async () => {
    const members = new FakeMembers("b");
    members.says("b", 3);
    members.self = { kind: "lost", cause: "connection refused" };
    members.askFailure = new Error("not announced");
    const it = new Listing(members);
    await it.begin();
    expect(it.lines).toEqual([
      "b SILENT 3 -0",
      "node-1* SERVING 3 -0 this node lost its place among the nodes: connection refused",
    ]);
  });

  test("a short deadline gets what is known by then", async () => {
    const it = new Listing(new FakeMembers("node-1", "b"));
    await it.begin(400);
    await it.pass(300);
    expect(it.lines).toEqual(["b SILENT 0 -3", "node-1* SERVING 3 -0"]);
  });
});
