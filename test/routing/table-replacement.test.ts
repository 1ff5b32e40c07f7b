// Goal: when a whole new table takes over, what was measured and what is in flight carry on.
// Method: two tables by hand; what both have, what only one has, what a request still holds.

import { describe, expect, test } from "vitest";
import type { Change } from "../../src/model/change.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { ProxyProtocol } from "../../src/model/service.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import { asked } from "../support/picks.ts";
import { backend, backendRemoved, change, matchHttp, rev, route, tableOf } from "./changes.ts";

const rebuilt = (previous: RouteTable, ...changes: readonly Change[]): RouteTable => {
  const builder = RouteTable.build();
  for (const piece of changes) builder.add([piece]);
  return builder.finish(rev(previous.revision + 1), previous);
};

describe("a table that replaces another", () => {
  test("goes on with the backends and addresses that both have", () => {
    const before = tableOf(
      route("r", "a.com", "s"),
      backend("s", "10.0.0.1:80", 10),
      backend("s", "10.0.0.2:80"),
      backend("gone", "10.0.0.3:80"),
      backend("gone", "10.0.0.1:80"),
    );
    const [kept, dropped] = before.service("s")!.backends;
    const gone = before.service("gone")!.backends;
    kept!.endpoint.inFlight = 3;
    kept!.recorded(0).failuresTotal = 2;
    const after = rebuilt(
      before,
      backend("s", "10.0.0.4:80"),
      backend("s", "10.0.0.1:80", 20),
      backend("new", "10.0.0.3:80"),
      backend("new", "10.0.0.1:80"),
    );
    const state = after.service("s")?.backendAt("10.0.0.1:80");
    expect(state).toBe(kept);
    expect(state).toMatchObject({ weight: 20, failuresTotal: 2, removed: false });
    expect(state?.endpoint).toMatchObject({ inFlight: 3, users: 2 });
    expect(after.service("new")?.backendAt("10.0.0.1:80")?.endpoint).toBe(kept?.endpoint);
    expect(after.service("new")?.backendAt("10.0.0.3:80")?.endpoint).toBe(gone[0]?.endpoint);
    expect([dropped, ...gone].map((each) => each?.removed)).toEqual([true, true, true]);
    expect(dropped?.endpoint.users).toBe(0);
    expect(
      [...after.endpoints()].map((each) => `${each.address} ${each.users}`).toSorted(),
    ).toEqual(["10.0.0.1:80 2", "10.0.0.3:80 1", "10.0.0.4:80 1"]);
  });

  test("picks the very states that it took over", () => {
    const before = tableOf(backend("s", "10.0.0.1:80"), backend("s", "10.0.0.2:80"));
    before.service("s")!.backends[0]!.endpoint.inFlight = 1;
    const after = rebuilt(before, backend("s", "10.0.0.2:80"), backend("s", "10.0.0.1:80"));
    const idle = before.service("s")?.backendAt("10.0.0.2:80");
    for (const draw of [0, 0.49, 0.51, 0.99]) {
      expect(after.service("s")?.picker.pick(asked(() => draw, [], 0))).toBe(idle);
    }
  });

  test("tells requests of the old table what their connections begin with now", () => {
    const settings = { name: parseServiceName("s"), policy: undefined };
    const before = tableOf({ kind: "service-put", service: settings });
    const held = before.service("s")!;
    expect(held.proxyProtocol).toBeUndefined();
    const sent = { ...settings, proxyProtocol: ProxyProtocol.V2 };
    const after = rebuilt(before, { kind: "service-put", service: sent });
    expect([held.proxyProtocol, after.service("s")?.proxyProtocol]).toEqual(["v2", "v2"]);
    change(after, { kind: "service-put", service: settings });
    expect(held.proxyProtocol).toBeUndefined();
  });

  test("gives requests of the old table the new backends", () => {
    const before = tableOf(
      route("r", "a.com", "s"),
      backend("s", "10.0.0.1:80"),
      backend("t", "10.0.0.9:80"),
    );
    const held = matchHttp(before, "a.com", "/")!;
    const heldToo = before.service("t")!;
    const after = rebuilt(before, backend("s", "10.0.0.2:80"));
    expect(held.service!.picker.pick(asked(Math.random, [], 0))?.address).toBe("10.0.0.2:80");
    expect(held.service!.backendAt("10.0.0.1:80")).toBeUndefined();
    expect(heldToo.picker.pick(asked(Math.random, [], 0))).toBeUndefined();
    change(after, backendRemoved("s", "10.0.0.2:80"), backend("s", "10.0.0.3:80"));
    expect(held.service!.picker.pick(asked(Math.random, [], 0))?.address).toBe("10.0.0.3:80");
    expect(after.service("t")).toBeUndefined();
  });

  test("has nothing of an old table whose entries are absent", () => {
    const before = tableOf(
      route("r", "a.com", "s"),
      route("q", "tcp:1", "s"),
      backend("s", "10.0.0.1:80"),
    );
    const after = rebuilt(before);
    expect(matchHttp(after, "a.com", "/")).toBeUndefined();
    expect(after.matchTcp(1)).toBeUndefined();
    expect([...after.services(), ...after.endpoints()]).toEqual([]);
  });

  test("is not added to once finished", () => {
    const builder = RouteTable.build();
    builder.finish(rev(1));
    expect(() => builder.add([])).toThrow(/finished/);
    expect(() => builder.finish(rev(2))).toThrow(/once/);
  });
});
