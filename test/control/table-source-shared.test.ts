// Goal: what a store sets aside, cannot believe or takes anew is told, and never costs what serves.
// Method: a store under the test's hand, a clock that moves only when told to.

import { describe, expect, test } from "vitest";
import { unservedAt } from "../../src/control/unserved.ts";
import type { Change } from "../../src/model/change.ts";
import { RouterError } from "../../src/model/errors.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { Table } from "../../src/model/table.ts";
import type { Members } from "../../src/store/members.ts";
import { follow, lost, names } from "../support/followed-table.ts";
import { ScriptedStore } from "../support/scripted-store.ts";
import { changeSetOf, putRoute, removeRoute, routeOf } from "../support/table-fixtures.ts";
import { turns, until } from "../support/until.ts";

describe("routes that cannot serve beside the others", () => {
  test("are told when they come, at the start too, each once", async () => {
    const store = new ScriptedStore();
    store.rejected = [{ key: "route odd", reason: "its value is not JSON" }];
    store.holds(2, putRoute("one", "a.test"), putRoute("two", "a.test"));
    const { source, log, at } = await follow(store);
    store.tell(changeSetOf(3, putRoute("three", "a.test")));
    await at(3);
    store.tell(changeSetOf(4, putRoute("four", "b.test")));
    await at(4);
    expect(names(source)).toEqual(["one", "four"]);
    expect(source.rejected.map(({ key }) => key).toSorted()).toEqual([
      "routes/three",
      "routes/two",
    ]);
    const told = log.entries.map(({ message, fields }) => `${message}: ${String(fields["key"])}`);
    expect(told.toSorted()).toEqual([
      "an entry of the store is set aside: route odd",
      "an entry of the store is set aside: routes/three",
      "an entry of the store is set aside: routes/two",
    ]);
  });

  test("whoever waits for the change of one hears that it is not served, until it is", async () => {
    const store = new ScriptedStore();
    store.holds(1, putRoute("one", "a.test"));
    const { source, at } = await follow(store);
    const route = {
      ...routeOf("two", "a.test"),
      revision: parseRevision(2),
      matchRevision: parseRevision(2),
    };
    store.tell(changeSetOf(2, { kind: "route-put", route }));
    await at(2);
    expect(
      [1, 2].map((revision) => unservedAt(source.unserved(), parseRevision(revision))),
    ).toEqual([
      undefined,
      "route two is not served: a.test belongs to route one; remove one of the two",
    ]);
    store.tell(changeSetOf(3, removeRoute("one")));
    await at(3);
    expect(unservedAt(source.unserved(), parseRevision(2))).toBeUndefined();
  });

  test.for([
    ["was removed", removeRoute("two")],
    ["went back to what it was", putRoute("two", "b.test")],
  ] as const)("and one that %s while the store was away does not come back", async ([, change]) => {
    const store = new ScriptedStore();
    const { source, system, at } = await follow(store);
    const put = [putRoute("one", "a.test"), putRoute("two", "b.test")] as const;
    store.holds(1, ...put);
    store.tell(changeSetOf(1, ...put), changeSetOf(2, putRoute("two", "a.test")));
    await at(2);
    expect(source.rejected).toHaveLength(1);
    store.holds(3, change);
    store.tell(lost());
    await until(() => source.trouble !== undefined, "the trouble");
    system.advance(100);
    await at(3);
    expect(source.rejected).toEqual([]);
    store.tell(changeSetOf(4, removeRoute("one")));
    await at(4);
    expect(names(source)).toEqual(change.kind === "route-removed" ? [] : ["two"]);
    if (change.kind === "route-put")
      expect([...source.table.routes()][0]?.match).toEqual(change.route.match);
  });
});

describe("a store that several nodes share", () => {
  const members = {} as Members;

  test("whose older copy an operator accepted is followed from there, everything named anew", async () => {
    const { store, source, published, at, log } = await follow();
    store.members = members;
    const put = [putRoute("kept", "a.test"), putRoute("gone", "b.test")] as const;
    store.holds(50, ...put);
    store.tell(changeSetOf(50, ...put));
    await at(50);
    const waiting = source.reached(parseRevision(60), new AbortController().signal);
    store.table = new Table();
    store.holds(7, put[0], putRoute("new", "c.test"));
    store.tell(new RouterError("out-of-range", "what followed 50 is no longer kept"));
    // At once: no clock moves.
    await at(7);
    await waiting;
    expect(published.at(-1)).toEqual(
      changeSetOf(7, removeRoute("gone"), putRoute("new", "c.test")),
    );
    expect([names(source), source.era]).toEqual([["kept", "new"], 1]);
    store.tell(changeSetOf(8, putRoute("next", "d.test")));
    await at(8);
    expect([source.failure, log.entries]).toEqual([undefined, []]);
  });

  test("that has another content at the same revision is taken as it is", async () => {
    const { store, system, source, published } = await follow();
    store.members = members;
    store.holds(5, putRoute("web", "a.test"));
    store.tell(changeSetOf(5, putRoute("old", "b.test")));
    await until(() => source.table.revision === 5, "revision 5");
    store.tell(new RouterError("out-of-range", "begun anew"));
    await until(() => published.length === 2, "the difference");
    expect(names(source)).toEqual(["web"]);
    // That it forgets again and again is another matter.
    const { reads } = store;
    for (let i = 0; i < 20; i++) store.tell(new RouterError("out-of-range", "begun anew"));
    await until(() => source.failure !== undefined, "the trouble");
    await turns(20);
    expect(store.reads - reads).toBeLessThanOrEqual(1);
    system.advance(200);
    await turns(20);
    expect(store.reads - reads).toBeLessThanOrEqual(2);
  });

  test.for([
    ["away", { kind: "away", sinceMs: 5, cause: "no answer", stale: false }, "no answer", false],
    ["stale", { kind: "away", sinceMs: 5, cause: "refused", stale: true }, "refused", true],
    [
      "held",
      {
        kind: "held",
        sinceMs: 5,
        finding: "wiped",
        detail: "it is empty; put it back, or accept",
        removed: 3,
        changed: 0,
        added: 0,
      },
      "it is empty; put it back, or accept",
      false,
    ],
  ] as const)("says that it is %s whenever it is asked", async ([, condition, words, stale]) => {
    const { store, source, log } = await follow();
    expect([source.trouble, source.stale]).toEqual([undefined, false]);
    store.condition = condition;
    expect([source.trouble, source.stale]).toEqual([words, stale]);
    store.condition = { kind: "current" };
    expect(source.trouble).toBeUndefined();
    // The store has a log of its own.
    expect(log.entries).toEqual([]);
  });

  test("sets entries aside later on: each is told once for each reason, and when it is no more", async () => {
    const { store, system, source, log } = await follow();
    store.rejected = [{ key: "routes/odd", reason: "not JSON" }];
    store.tell(changeSetOf(1));
    await until(() => source.table.revision === 1, "revision 1");
    expect(log.entries).toEqual([]);
    system.advance(1_000);
    store.rejected = [{ key: "routes/odd", reason: "not JSON" }];
    store.tell(changeSetOf(2));
    await until(() => source.table.revision === 2, "revision 2");
    system.advance(1_000);
    store.rejected = [{ key: "routes/odd", reason: "an unknown field" }];
    store.tell(changeSetOf(3));
    await until(() => source.table.revision === 3, "revision 3");
    system.advance(1_000);
    store.rejected = [];
    store.tell(changeSetOf(4));
    await until(() => source.table.revision === 4, "revision 4");
    system.advance(1_000);
    expect(
      log.entries.map(({ message, fields }) => [message, fields["key"], fields["reason"]]),
    ).toEqual([
      ["an entry of the store is set aside", "routes/odd", "not JSON"],
      ["an entry of the store is set aside", "routes/odd", "an unknown field"],
      ["an entry of the store is set aside no more", "routes/odd", undefined],
    ]);
  });

  test("may set thousands aside at once: some are named, the others counted", async () => {
    const { store, source, log } = await follow();
    const pairs = (name: string): Change[] =>
      Array.from({ length: 200 }, (_, i) => putRoute(`${name}${i}`, `h${i}.test`));
    store.tell(changeSetOf(1, ...pairs("a"), ...pairs("b")));
    await until(() => source.table.revision === 1, "revision 1");
    expect(source.rejected).toHaveLength(200);
    expect(log.entries).toHaveLength(51);
    expect(log.entries.at(-1)).toMatchObject({ fields: { count: 150 } });
  });
});
