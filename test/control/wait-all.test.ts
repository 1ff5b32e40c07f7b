// Goal: a call with WAIT_ALL asks the other nodes with its write, or without one when nothing is written, and says who
// lags.

import { describe, expect, test } from "vitest";
import { createRouterService, type RouterCalls } from "../../src/control/router-service.ts";
import * as proto from "../../src/gen/crosspoint/v1/router.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import type { Store, Write } from "../../src/store/store.ts";
import { FakeMembers } from "../support/fake-members.ts";
import { FakeServing } from "../support/fake-serving.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { FollowingView } from "../support/following-view.ts";
import { routeFields } from "../support/rpc-node.ts";
import { turns } from "../support/until.ts";

const { Wait } = proto;

describe("through the service", () => {
  interface Bench {
    readonly service: RouterCalls;
    readonly serving: FakeServing;
    readonly system: FakeSystem;
    readonly commits: Write[];
  }

  async function benchOf(members: FakeMembers | undefined): Promise<Bench> {
    const system = new FakeSystem();
    const commits: Write[] = [];
    const inner = new MemoryStore({ system });
    const store = new Proxy(inner, {
      get(target, name) {
        if (name === "members") return members;
        if (name === "commit") {
          return async (write: Write) => {
            commits.push(write);
            return await target.commit(write);
          };
        }
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    }) as Store;
    const view = await FollowingView.of(store);
    const serving = new FakeServing();
    return {
      service: createRouterService({ store, view, serving, system }),
      serving,
      system,
      commits,
    };
  }

  const calm = { signal: new AbortController().signal, remainingMs: undefined };
  const add = (match: string, more: object = {}): proto.AddRouteRequest =>
    proto.AddRouteRequest.fromPartial({ route: routeFields(match), wait: Wait.ALL, ...more });

  test("a store of one node: WAIT_ALL is WAIT_NODE, and commits ask nothing", async () => {
    const { service, commits } = await benchOf(undefined);
    expect((await service.addRoute(add("a.io"), calm)).lagging).toEqual([]);
    expect(commits[0]?.ask).toBeUndefined();
  });

  test("the commit asks for as long as the call waits, and is not asked twice", async () => {
    const members = new FakeMembers("node-1", "b");
    const { service, commits } = await benchOf(members);
    const answer = service.addRoute(add("a.io"), { ...calm, remainingMs: 2_000 });
    await turns();
    expect([commits[0]?.ask, members.asked]).toEqual([{ waitMs: 1_750 }, []]);
    members.says("b", 1);
    expect((await answer).lagging).toEqual([]);
  });

  test("a write that nobody waits for carries the question of one that does", async () => {
    const members = new FakeMembers("node-1", "b");
    const { service, commits } = await benchOf(members);
    const all = service.addRoute(add("a.io"), calm);
    await turns();
    await service.addRoute(add("b.io", { wait: Wait.NONE }), calm);
    expect(commits[1]?.ask).toEqual({ waitMs: 10_000 });
    members.says("b", 2);
    await all;
    await service.addRoute(add("c.io", { wait: Wait.NODE }), calm);
    expect(commits[2]?.ask).toBeUndefined();
  });

  test("what already is so, and the same call again, are asked without a write", async () => {
    const members = new FakeMembers("node-1", "b");
    members.onAsk = (revision) => members.says("b", revision);
    const { service, commits } = await benchOf(members);
    await service.addRoute(add("a.io", { requestId: "x", wait: Wait.NONE }), calm);
    await service.addRoute(add("z.io", { wait: Wait.NONE }), calm);
    expect((await service.addRoute(add("a.io"), calm)).lagging).toEqual([]);
    expect((await service.addRoute(add("a.io", { requestId: "x" }), calm)).lagging).toEqual([]);
    expect(members.asked.map(({ revision }) => revision)).toEqual([1]);
    expect(commits).toHaveLength(2);
  });

  test("who lags is answered, and the write stands", async () => {
    const members = new FakeMembers("node-1", "b");
    const { service, system } = await benchOf(members);
    const answer = service.addRoute(add("a.io"), { ...calm, remainingMs: 1_000 });
    await turns();
    system.advance(750);
    const { revision, lagging } = await answer;
    expect([revision, lagging]).toEqual([
      1n,
      [
        {
          node: "b",
          servedRevision: 0n,
          reason: "has not reported revision 1 (reported 0 last)",
        },
      ],
    ]);
    expect(system.timerCount).toBe(0);
  });

  test("a node that came between the look at the list and the commit is asked after it", async () => {
    const members = new FakeMembers("node-1");
    const { service, commits, serving } = await benchOf(members);
    serving.serve(0);
    const answer = service.addRoute(add("a.io"), calm);
    await turns();
    members.says("b", 0);
    serving.serve(1);
    await turns();
    expect([commits[0]?.ask, members.asked]).toEqual([
      undefined,
      [{ revision: 1, waitMs: 10_000 }],
    ]);
    members.says("b", 1);
    expect((await answer).lagging).toEqual([]);
  });

  test("validate_only asks nobody", async () => {
    const members = new FakeMembers("node-1", "b");
    const { service } = await benchOf(members);
    await service.addRoute(add("a.io", { validateOnly: true }), calm);
    expect([members.asked, members.listeners]).toEqual([[], 0]);
  });
});
