// Goal: an operator hears how the node stands to its store, what is set aside and where backends come from,
// and can put right what a hand has written.
// Method: the calls on a real table that follows a store under the test's hand.

import { describe, expect, test } from "vitest";
import { Store_State as State } from "../../src/gen/crosspoint/v1/router.ts";
import type { Members } from "../../src/store/members.ts";
import type { StoreCondition } from "../../src/store/store.ts";
import { FakeDiscovery } from "../support/fake-discovery.ts";
import { putRouteChange, removeRouteChange, routeFields } from "../support/rpc-node.ts";
import { ScriptedStore } from "../support/scripted-store.ts";
import { serviceOnTable } from "../support/service-on-table.ts";
import { backendOf, changeSetOf, putRoute, removeRoute } from "../support/table-fixtures.ts";
import { until } from "../support/until.ts";

const held: StoreCondition = {
  kind: "held",
  sinceMs: 60_000,
  finding: "restored",
  detail: "an older backup; `crosspoint store accept` takes it",
  removed: 3,
  changed: 2,
  added: 1,
};

describe("GetStore", () => {
  test.for<[string, StoreCondition, object]>([
    ["current", { kind: "current" }, { state: State.CURRENT, detail: "", since: undefined }],
    [
      "away",
      { kind: "away", sinceMs: 60_000, cause: "no answer", stale: false },
      { state: State.AWAY, detail: "no answer", since: new Date(60_000) },
    ],
    [
      "stale",
      { kind: "away", sinceMs: 60_000, cause: "refused", stale: true },
      { state: State.STALE, detail: "refused", since: new Date(60_000) },
    ],
    [
      "held",
      held,
      { state: State.HELD, since: new Date(60_000), removed: 3, changed: 2, added: 1 },
    ],
  ])("says that the store is %s", async ([, condition, expected]) => {
    const store = new ScriptedStore();
    store.holds(4, putRoute("web", "a.test"));
    const { call } = await serviceOnTable({ store });
    store.condition = condition;
    const answer = await call("getStore");
    expect(answer.store).toMatchObject({ name: "scripted:", revision: 4n, ...expected });
  });

  test("says that the watch of a store broke that has no condition of its own", async () => {
    const store = new ScriptedStore();
    const { call, source } = await serviceOnTable({ store });
    store.readFailure = new Error("disk on fire");
    store.tell(new Error("connection lost"));
    await until(() => source.failure !== undefined, "the failure");
    const { store: told } = await call("getStore");
    expect([told?.state, told?.detail, told?.since]).toEqual([
      State.AWAY,
      expect.stringMatching(/connection lost|disk on fire/),
      expect.any(Date),
    ]);
  });

  test("has a line for each discovery that has trouble", async () => {
    const [good, bad, named] = [
      new FakeDiscovery("a:"),
      new FakeDiscovery("b:"),
      new FakeDiscovery("c:"),
    ];
    for (const discovery of [good, bad, named]) discovery.find();
    bad.trouble = "no answer";
    named.trouble = "c: seems wiped";
    const { call } = await serviceOnTable({ discoveries: [good, bad, named] });
    const { store } = await call("getStore");
    expect(store?.discoveryTroubles).toEqual(["b:: no answer", "c: seems wiped"]);
  });
});

describe("AcceptStore", () => {
  test("answers what would happen, then takes it; the answer is of afterwards", async () => {
    const store = new ScriptedStore();
    store.members = {} as Members;
    store.holds(9, putRoute("web", "a.test"));
    const { call, source } = await serviceOnTable({ store });
    store.condition = held;
    let accepted = 0;
    store.accept = async () => {
      accepted++;
      store.condition = { kind: "current" };
      store.table.revision = changeSetOf(2).revision;
      store.holds(3, removeRoute("web"));
      store.tell("end");
      return true;
    };
    const dry = await call("acceptStore", { validateOnly: true });
    expect(dry).toMatchObject({ removed: 3, changed: 2, added: 1, store: { state: State.HELD } });
    expect(accepted).toBe(0);
    const answer = await call("acceptStore");
    expect(answer).toMatchObject({ removed: 3, changed: 2, added: 1 });
    expect(answer.store).toMatchObject({ removed: 0, changed: 0, added: 0 });
    await until(() => source.table.revision === 3, "the new truth");
    expect([accepted, source.table.routeCount, source.era]).toEqual([1, 0, 1]);
  });

  test("lets nobody wait for a write of the time before", async () => {
    const store = new ScriptedStore();
    store.members = {} as Members;
    const { call, source } = await serviceOnTable({ store });
    store.commit = async ({ changes }) => {
      store.holds(100, ...changes);
      store.tell(changeSetOf(100, ...changes));
      return changeSetOf(100).revision;
    };
    await call("putService", { service: { name: "web" } });
    await until(() => source.table.revision === 100, "the write");
    store.table.revision = changeSetOf(2).revision;
    store.holds(3, putRoute("one", "a.test"));
    store.tell("end");
    await until(() => source.table.revision === 3, "the older store");
    expect((await call("getRoute", { name: "one" })).route?.name).toBe("one");
  });

  test("is FAILED_PRECONDITION when nothing is held, and says how it stands", async () => {
    const store = new ScriptedStore();
    const { refused } = await serviceOnTable({ store });
    for (const validateOnly of [true, false]) {
      const error = await refused("acceptStore", { validateOnly });
      expect([error.code, error.details.reason]).toEqual(["failed-precondition", "NOTHING_HELD"]);
      expect(error.message).toContain("scripted: is followed");
    }
    store.condition = { kind: "away", sinceMs: 1, cause: "no answer", stale: false };
    expect((await refused("acceptStore")).message).toContain("cannot be followed: no answer");
  });

  test("also takes what a discovery holds", async () => {
    const [one, two] = [new FakeDiscovery("a:"), new FakeDiscovery("b:")];
    for (const discovery of [one, two]) discovery.find();
    Object.assign(two, { held: true, trouble: "seems wiped" });
    const { call, refused } = await serviceOnTable({ discoveries: [one, two] });
    const dry = await call("acceptStore", { validateOnly: true });
    expect([dry.store?.discoveryTroubles, two.held]).toEqual([["b:: seems wiped"], true]);
    expect(await call("acceptStore")).toMatchObject({ removed: 0, changed: 0, added: 0 });
    expect(two.held).toBe(false);
    expect((await refused("acceptStore")).code).toBe("failed-precondition");
  });

  test("leaves no discovery out because another cannot be read", async () => {
    const [one, two] = [new FakeDiscovery("a:"), new FakeDiscovery("b:")];
    for (const discovery of [one, two]) discovery.find();
    two.held = true;
    one.accept = () => Promise.reject(new Error("unreachable"));
    const { call, refused } = await serviceOnTable({ discoveries: [one, two] });
    await call("acceptStore");
    expect(two.held).toBe(false);
    expect((await refused("acceptStore")).message).toContain("unreachable");
  });
});

describe("ListRejectedEntries", () => {
  test("lists what the store, the rules and the discoveries set aside, by key, page by page", async () => {
    const store = new ScriptedStore();
    const [one, two] = [new FakeDiscovery("a:"), new FakeDiscovery("b:")];
    for (const discovery of [one, two]) discovery.find();
    const strange = "x".repeat(5_000);
    store.rejected = [
      { key: "/crosspoint/routes/odd", reason: "not JSON" },
      { key: `${strange}2`, reason: "too long" },
      { key: `${strange}1`, reason: "too long" },
    ];
    one.unreadable = [{ key: "/services/web/1", reason: "not JSON" }];
    two.unreadable = [{ key: "/services/web/1", reason: "no port" }];
    store.holds(2, putRoute("one", "a.test"), putRoute("two", "a.test"));
    const { call } = await serviceOnTable({ store, discoveries: [one, two] });
    const found: string[] = [];
    let pageToken = "";
    do {
      const page = await call("listRejectedEntries", { pageSize: 1, pageToken });
      expect(page.entries).toHaveLength(1);
      for (const { key, reason } of page.entries) found.push(`${key.slice(-23)}: ${reason}`);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(found.toSorted()).toEqual(
      [
        "/crosspoint/routes/odd: not JSON",
        "/services/web/1: not JSON",
        "/services/web/1: no port",
        "routes/two: a.test belongs to route one; remove one of the two",
        `${"x".repeat(22)}1: too long`,
        `${"x".repeat(22)}2: too long`,
      ].toSorted(),
    );
    expect(found[0]).toContain("/crosspoint/");
    expect(found[3]).toContain("routes/two");
    expect((await call("listRejectedEntries")).entries).toHaveLength(6);
  });
});

describe("backends that discovery finds", () => {
  async function withDiscovery() {
    const discovery = new FakeDiscovery("etcd:");
    discovery.find("web 10.0.0.1:80", "db 10.0.0.9:5432");
    return { discovery, ...(await serviceOnTable({ discoveries: [discovery] })) };
  }
  const listed = ({ backends }: { readonly backends: readonly unknown[] }): unknown[] =>
    (backends as { backend: { service: string; address: string }; source: string }[]).map(
      ({ backend, source }) => `${backend.service} ${backend.address} from ${source}`,
    );

  test("are listed with where they come from, in order with the others, and make services", async () => {
    const { call } = await withDiscovery();
    await call("registerBackend", {
      backend: { service: "web", address: "10.0.0.0:80" },
      ttl: { seconds: 30n, nanos: 500_000_000 },
    });
    const first = await call("listBackends", { pageSize: 2 });
    const rest = await call("listBackends", { pageSize: 2, pageToken: first.nextPageToken });
    expect([...listed(first), ...listed(rest)]).toEqual([
      "db 10.0.0.9:5432 from etcd:/10.0.0.9:5432",
      "web 10.0.0.0:80 from api",
      "web 10.0.0.1:80 from etcd:/10.0.0.1:80",
    ]);
    expect(first.backends.map(({ backend }) => backend?.ttl)).toEqual([
      undefined,
      { seconds: 30n, nanos: 500_000_000 },
    ]);
    const { services } = await call("listServices");
    expect(services.map(({ name }) => name)).toEqual(["db", "web"]);
  });

  test("give way to one that is registered, and take its place when that goes", async () => {
    const { call, store } = await withDiscovery();
    const backend = { service: "web", address: "10.0.0.1:80", weight: 7 };
    await call("registerBackend", { backend });
    expect((await store.read()).backends).toHaveLength(1);
    const before = await call("listBackends", { service: "web" });
    expect(before.backends).toMatchObject([{ backend: { weight: 7 }, source: "api" }]);
    await call("deregisterBackend", backend);
    const after = await call("listBackends", { service: "web" });
    expect(after.backends).toMatchObject([
      { backend: { weight: 100 }, source: "etcd:/10.0.0.1:80" },
    ]);
  });

  test("are not deregistered here: the refusal names where", async () => {
    const { refused } = await withDiscovery();
    const error = await refused("deregisterBackend", { service: "web", address: "10.0.0.1:80" });
    expect([error.code, error.details.reason]).toEqual(["failed-precondition", "DISCOVERED"]);
    expect(error.message).toContain("etcd:/10.0.0.1:80");
  });

  test("keep nobody from removing a service's settings: another node may not find them", async () => {
    const { call, refused } = await withDiscovery();
    await call("putService", { service: { name: "web", policy: 2 } });
    await call("removeService", { name: "web" });
    expect((await refused("removeService", { name: "web" })).code).toBe("not-found");
    const { services } = await call("listServices");
    expect(services).toMatchObject([{ name: "db" }, { name: "web", policy: 0 }]);
  });

  test("are no part of what Watch tells", async () => {
    const { source } = await withDiscovery();
    expect(source.stored.snapshot().backends).toEqual([]);
    expect(source.table.backendCount).toBe(2);
  });
});

describe("routes that a hand has written beside others", () => {
  test("can be removed though they do not serve", async () => {
    const { call, write, source } = await serviceOnTable();
    await write(putRoute("one", "a.test"));
    await write(putRoute("two", "a.test"));
    await call("removeRoute", { name: "two" });
    expect(source.rejected).toEqual([]);
    await write(putRoute("two", "a.test"));
    await call("removeRoute", { name: "one" });
    expect((await call("getRoute", { name: "two" })).route?.name).toBe("two");
  });

  test("are not served because somebody says so once more", async () => {
    const { call, refused, write } = await serviceOnTable();
    await write(putRoute("one", "a.test"));
    await write(putRoute("two", "a.test"));
    const error = await refused("addRoute", { route: { name: "two", ...routeFields("a.test") } });
    expect([error.code, error.details.metadata?.["route"]]).toEqual(["already-exists", "one"]);
    // The one that serves may change as it likes.
    await call("applyChanges", { changes: [putRouteChange("a.test", "api", { name: "one" })] });
  });

  test("come before new ones when their match is given up in one request", async () => {
    const { call, refused, write, source } = await serviceOnTable();
    await write(putRoute("one", "a.test"));
    await write(putRoute("two", "a.test"));
    const swap = [removeRouteChange("one"), putRouteChange("a.test", "web", { name: "three" })];
    const error = await refused("applyChanges", { changes: swap });
    expect([error.code, error.details.metadata?.["route"]]).toEqual(["already-exists", "two"]);
    await call("applyChanges", { changes: [...swap, removeRouteChange("two")] });
    expect([...source.table.routes()].map(({ name }) => name)).toEqual(["three"]);
    expect(source.rejected).toEqual([]);
  });

  test("leave a match to whoever asks for it when only their old version serves it", async () => {
    const { call, write, source } = await serviceOnTable();
    await write(putRoute("one", "a.test"), putRoute("two", "b.test"));
    await write(putRoute("two", "a.test"));
    expect(source.table.routeCount).toBe(2);
    await call("addRoute", { route: { name: "three", ...routeFields("b.test") } });
    expect([...source.table.routes()].map(({ name }) => name).toSorted()).toEqual(["one", "three"]);
  });

  test("free a service that only their old version names", async () => {
    const { call, write } = await serviceOnTable();
    await call("putService", { service: { name: "old", policy: 2 } });
    await write(putRoute("one", "a.test"), putRoute("two", "b.test", "old"));
    await write(putRoute("two", "a.test"));
    await call("removeService", { name: "old" });
  });

  test("have no times unless they say so", async () => {
    const { call, write } = await serviceOnTable();
    await write(putRoute("one", "a.test"));
    const { route } = await call("getRoute", { name: "one" });
    expect([route?.createTime, route?.updateTime]).toEqual([undefined, undefined]);
    const { route: own } = await call("addRoute", { route: routeFields("b.test") });
    expect(own?.createTime).toBeInstanceOf(Date);
  });
});

test("a backend that two discoveries name is the first one's, and the other's when that goes", async () => {
  const [first, second] = [new FakeDiscovery("a:"), new FakeDiscovery("b:")];
  first.find("web 10.0.0.1:80 1");
  second.find("web 10.0.0.1:80 2", "web 10.0.0.2:80");
  const { call, source } = await serviceOnTable({ discoveries: [first, second] });
  const { backends } = await call("listBackends");
  expect(backends).toMatchObject([
    { backend: { weight: 1 }, source: "a:/10.0.0.1:80" },
    { source: "b:/10.0.0.2:80" },
  ]);
  first.find();
  const address = backendOf("web", "10.0.0.1:80");
  await until(() => source.stored.sourceOf(address)?.startsWith("b:") === true, "the other one");
  expect([source.discoveredCount(0), source.discoveredCount(1)]).toEqual([0, 2]);
});
