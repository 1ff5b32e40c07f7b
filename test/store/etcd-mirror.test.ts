// Goal: batches of keys become ChangeSets; a bad value changes nothing but the list of rejected entries.
// Method: batches by hand, as a follower hands them over.

import { describe, expect, test } from "vitest";
import type { KeyValue } from "../../src/etcd/etcd.ts";
import { backendKeyOf } from "../../src/model/backend.ts";
import { parseRevision, revisionZero } from "../../src/model/revision.ts";
import { follow } from "../../src/store/change-log.ts";
import { counts, EtcdLayout, placeOfChange, removalOf } from "../../src/store/etcd-layout.ts";
import { EtcdMirror } from "../../src/store/etcd-mirror.ts";
import { backendAt, collect, putBackend, putRoute, removeRoute } from "./samples.ts";

const layout = new EtcdLayout("/x");
const forever = new AbortController().signal;

function keyValue(path: string, text: string | undefined, modRevision: number): KeyValue {
  const bytes = text === undefined ? 7 : Buffer.byteLength(text);
  return { key: `/x/${path}`, text, bytes, createRevision: 1, modRevision, lease: "0" };
}

/** A mirror whose history began at revision 1, empty. */
class Mirrored {
  readonly mirror = new EtcdMirror(layout, { revisionsMax: 100, changesMax: 100 });

  constructor() {
    this.mirror.apply({ revision: 1, puts: [], deletes: [] });
  }

  /** The keys that could not be read. */
  apply(
    revision: number,
    puts: Readonly<Record<string, string | undefined>>,
    deletes: readonly string[] = [],
  ): string[] {
    const unread = this.mirror.apply({
      revision,
      puts: Object.entries(puts).map(([path, text]) => keyValue(path, text, revision)),
      deletes: deletes.map((path) => `/x/${path}`),
    });
    return [...unread];
  }

  get routes(): string[] {
    const { routes } = this.mirror.snapshot();
    return routes.map(({ name, service, revision }) => `${name} ${service} ${revision}`).toSorted();
  }

  get history(): unknown[] {
    const sets: unknown[] = [];
    for (let at = 1; ; ) {
      const next = this.mirror.log.next(at);
      if (next === undefined) return sets;
      at = next.revision;
      sets.push([at, next.changes.map((change) => change.kind)]);
    }
  }
}

const web = (service = "web"): string =>
  `{"http":{"domain":"a.example.com"},"service":"${service}"}`;

describe("a batch", () => {
  test("is one ChangeSet at its revision, with removals first", () => {
    const mirrored = new Mirrored();
    mirrored.apply(5, {
      "routes/a": web(),
      "services/web": "{}",
      "backends/web/10.0.0.1:80": "{}",
    });
    mirrored.apply(9, { "routes/b": web() }, ["routes/a", "services/web"]);
    mirrored.apply(12, {}, ["backends/web/10.0.0.1:80"]);
    expect(mirrored.history).toEqual([
      [5, ["route-put", "service-put", "backend-put"]],
      [9, ["route-removed", "service-removed", "route-put"]],
      [12, ["backend-removed"]],
    ]);
    expect(mirrored.routes).toEqual(["b web 9"]);
    expect(mirrored.mirror.snapshot()).toMatchObject({ revision: 12, services: [], backends: [] });
  });

  test("that only moves the revision on, or removes what is not there, is an empty ChangeSet", () => {
    const mirrored = new Mirrored();
    mirrored.apply(5, {});
    mirrored.apply(6, {}, ["routes/nobody"]);
    mirrored.apply(7, { table: '{"store":"s","write":"w"}' });
    expect(mirrored.history).toEqual([
      [5, []],
      [6, []],
      [7, []],
    ]);
  });

  test("of other keys is none", () => {
    const mirrored = new Mirrored();
    expect(mirrored.apply(1, { "nodes/n": "?", "writes/n": "?", "requests/r": "?" })).toEqual([]);
    expect(mirrored.history).toEqual([]);
    expect(mirrored.mirror.rejected).toEqual([]);
  });

  test("of a list that found something deleted, at a revision that nobody knows, is after the last", () => {
    const mirrored = new Mirrored();
    mirrored.apply(5, { "routes/a": web() });
    mirrored.apply(5, {}, ["routes/a"]);
    mirrored.apply(6, {});
    mirrored.apply(8, {});
    expect(mirrored.history).toEqual([
      [5, ["route-put"]],
      [6, ["route-removed"]],
      [8, []],
    ]);
  });

  test("a route that was written again, alike, has the new revision", () => {
    const mirrored = new Mirrored();
    mirrored.apply(5, { "routes/a": web() });
    mirrored.apply(6, { "routes/a": web() });
    expect(mirrored.routes).toEqual(["a web 6"]);
  });
});

describe("the first batch", () => {
  test("is where the history begins: what led there is not known", async () => {
    const mirror = new EtcdMirror(layout, { revisionsMax: 100, changesMax: 100 });
    expect(mirror.begun).toBe(false);
    mirror.apply({ revision: 40, puts: [keyValue("routes/a", web(), 17)], deletes: [] });
    expect(mirror.begun).toBe(true);
    expect(mirror.snapshot()).toMatchObject({ revision: 40, routes: [{ revision: 17 }] });
    for (const after of [revisionZero, parseRevision(17), parseRevision(39)]) {
      const watch = follow(mirror.log, mirror.log, after, forever);
      await expect(collect(watch)).rejects.toMatchObject({
        code: "out-of-range",
        details: { metadata: { oldest: "40" } },
      });
    }
  });

  test("of a past that was put back begins anew, and ends every watch, also one at a revision that comes again", async () => {
    const mirrored = new Mirrored();
    mirrored.apply(50, { "routes/a": web(), "routes/b": web() });
    const watch = follow(mirrored.mirror.log, mirrored.mirror.log, parseRevision(1), forever);
    expect((await watch.next()).value).toMatchObject({ revision: 50 });
    mirrored.mirror.apply({
      revision: 20,
      anew: true,
      puts: [keyValue("routes/a", web("old"), 20)],
      deletes: ["/x/routes/b"],
    });
    expect(mirrored.routes).toEqual(["a old 20"]);
    for (const revision of [50, 51]) mirrored.apply(revision, { "routes/c": web() });
    await expect(watch.next()).rejects.toMatchObject({ code: "out-of-range" });
    const again = follow(mirrored.mirror.log, mirrored.mirror.log, parseRevision(20), forever);
    expect((await again.next()).value).toMatchObject({ revision: 50 });
  });
});

describe("a watch", () => {
  test("from a revision between two that are kept goes on with the next", async () => {
    const mirrored = new Mirrored();
    for (const revision of [10, 20, 30]) mirrored.apply(revision, { "routes/a": web() });
    const seen = async (after: number): Promise<unknown> => {
      const { log } = mirrored.mirror;
      const { value } = await follow(log, log, parseRevision(after), forever).next();
      return value?.revision;
    };
    expect([await seen(1), await seen(9), await seen(10), await seen(11), await seen(29)]).toEqual([
      10, 10, 20, 20, 30,
    ]);
    await expect(seen(31)).rejects.toMatchObject({ details: { metadata: { current: "30" } } });
    await expect(seen(0)).rejects.toMatchObject({ details: { metadata: { oldest: "1" } } });
  });
});

describe("a bad value", () => {
  test("keeps the last good one, is listed, makes a revision, and is forgotten when it is mended", () => {
    const mirrored = new Mirrored();
    mirrored.apply(5, { "routes/a": web(), "routes/b": web() });
    expect(mirrored.apply(6, { "routes/a": "{", "routes/b": web("new") })).toEqual(["/x/routes/a"]);
    expect(mirrored.routes).toEqual(["a web 5", "b new 6"]);
    expect(mirrored.mirror.rejected).toMatchObject([
      { key: "/x/routes/a", reason: expect.stringMatching(/^the value: is not JSON/) },
    ]);
    expect(mirrored.apply(7, { "routes/a": "null" })).toEqual(["/x/routes/a"]);
    expect(mirrored.mirror.rejected).toMatchObject([{ reason: expect.stringMatching(/null/) }]);
    expect(mirrored.apply(8, { "routes/a": web("mended") })).toEqual([]);
    expect(mirrored.mirror.rejected).toEqual([]);
    expect(mirrored.routes).toEqual(["a mended 8", "b new 6"]);
    expect(mirrored.history.at(-2)).toEqual([7, []]);
  });

  test("that is deleted takes its last good one along", () => {
    const mirrored = new Mirrored();
    mirrored.apply(5, { "routes/a": web() });
    mirrored.apply(6, { "routes/a": "{" });
    mirrored.apply(7, {}, ["routes/a"]);
    expect(mirrored.mirror.rejected).toEqual([]);
    expect(mirrored.routes).toEqual([]);
    expect(mirrored.history.at(-1)).toEqual([7, ["route-removed"]]);
  });

  test("that was never good is only listed", () => {
    const mirrored = new Mirrored();
    mirrored.apply(5, { "routes/a": "{" });
    mirrored.apply(6, {}, ["routes/a"]);
    expect(mirrored.history).toEqual([
      [5, []],
      [6, []],
    ]);
    expect(mirrored.mirror.rejected).toEqual([]);
  });

  test("that is no text, or too long, says so", () => {
    const mirrored = new Mirrored();
    mirrored.apply(5, { "routes/a": undefined });
    const long = { ...keyValue("routes/b", undefined, 6), bytes: 10_000_000 };
    mirrored.mirror.apply({ revision: 6, puts: [long], deletes: [] });
    expect(mirrored.mirror.rejected.map(({ reason }) => reason)).toEqual([
      "the value: is not UTF-8",
      "the value: is 10000000 bytes long; at most 1048576 are read",
    ]);
  });

  test("has a short reason, whatever it holds", () => {
    const mirrored = new Mirrored();
    mirrored.apply(5, {
      "backends/web/10.0.0.1:80": `{"address":"${"y".repeat(100_000)}"}`,
      [`backends/web/${"x".repeat(100_000)}`]: "{}",
      [`routes/${"x".repeat(100_000)}`]: web(),
      "routes/a": `{"http":{"domain":"${"z".repeat(100_000)}"},"service":"web"}`,
    });
    expect(mirrored.mirror.rejected).toHaveLength(4);
    for (const { key, reason } of mirrored.mirror.rejected) {
      expect(reason.length).toBeLessThan(300);
      expect(key.length).toBeLessThan(600);
    }
  });
});

describe("a key", () => {
  test.for([
    ["routes/", /is not a route name/],
    ["routes/UPPER", /"UPPER" is not a route name/],
    ["routes/a/b", /"a\/b" is not a route name/],
    [`routes/${"x".repeat(64)}`, /is not a route name/],
    ["routes/\u0000", /is not a route name/],
    ["routes/\u00ff\u00fe", /is not a route name/],
    ["services/", /is required/],
    ["services/-", /is not a service name/],
    ["services/a/b", /is not a service name/],
    ["backends/", /has no "\/" after the service/],
    ["backends/web", /has no "\/" after the service/],
    ["backends/web/", /is required/],
    ["backends//10.0.0.1:80", /is required/],
    ["backends/web/x", /"x" is not HOST:PORT/],
    ["backends/web/10.0.0.1:0", /0 is not a port/],
    ["backends/web/10.0.0.1:080", /is written "10.0.0.1:80"/],
    ["backends/web/DB:80", /is written "db:80"/],
    ["backends/web/::1:80", /is not HOST:PORT/],
    ["backends/a/b/10.0.0.1:80", /"b\/10\.0\.0\.1" is neither an IP address/],
  ] as const)("in a folder of the table that is written %j is listed and counts", ([path, why]) => {
    const mirrored = new Mirrored();
    expect(mirrored.apply(5, { [path]: web() })).toEqual([`/x/${path}`]);
    expect(mirrored.mirror.rejected).toMatchObject([{ reason: expect.stringMatching(why) }]);
    expect(counts(layout.place(`/x/${path}`))).toBe(true);
    mirrored.apply(6, {}, [path]);
    expect(mirrored.mirror.rejected).toEqual([]);
  });

  test.for(["", "routes", "else", "else/x", "table/", "Routes/web", "table2", "/routes/web"])(
    "in no folder (%j) is listed and counts for nothing",
    (path) => {
      const mirrored = new Mirrored();
      mirrored.apply(5, { [path]: web() });
      expect(mirrored.mirror.rejected).toMatchObject([
        { key: `/x/${path}`, reason: expect.stringMatching(/knows the folders routes/) },
      ]);
      expect(counts(layout.place(`/x/${path}`))).toBe(false);
    },
  );

  test("is shown as text, without control characters", () => {
    const mirrored = new Mirrored();
    const latin1 = Buffer.from("routes/é\u0007", "utf8").toString("latin1");
    mirrored.apply(5, { [latin1]: web() });
    expect(mirrored.mirror.rejected).toMatchObject([{ key: "/x/routes/é?" }]);
  });

  test("of each entry is the one that names it", () => {
    for (const change of [putRoute("a"), putBackend("[2001:db8::7]:8080"), removeRoute("a")]) {
      const place = placeOfChange(change);
      expect(layout.place(layout.entry(place))).toEqual(place);
      expect(placeOfChange(removalOf(place))).toEqual(place);
    }
    const backend = backendAt("[2001:db8::7]:8080");
    expect(layout.backend(backendKeyOf(backend))).toBe("/x/backends/web/[2001:db8::7]:8080");
  });

  test("of a request id holds it whole, without a slash, and no two are alike", () => {
    const ids = [
      "a",
      "A",
      "../table",
      "%2E",
      ".",
      "@a",
      "é",
      "e",
      "",
      " ",
      "\u0000",
      "a/b",
      "a%2Fb",
    ];
    const keys = ids.map((id) => layout.request(id));
    expect(new Set([...keys, layout.lastWrite("a"), layout.lastWrite("")]).size).toBe(15);
    for (const key of keys) expect(key).toMatch(/^\/x\/requests\/[A-Za-z0-9._%-]*$/);
  });
});

describe("the marker", () => {
  const identity = (mirrored: Mirrored, text: string | undefined): unknown =>
    mirrored.mirror.identityOf((key) =>
      key === layout.guard && text !== undefined ? keyValue("table", text, 9) : undefined,
    );

  test("names the store, and the ones that it stands for", () => {
    const text = '{"store":"s2","replaces":["s1"],"write":"w","of a later version":1}';
    expect(identity(new Mirrored(), text)).toEqual({ id: "s2", replaces: ["s1"] });
    expect(identity(new Mirrored(), undefined)).toBeUndefined();
    expect(identity(new Mirrored(), "{")).toBeUndefined();
  });

  test("that somebody wrote over with nonsense is the last good one, and is listed", () => {
    const mirrored = new Mirrored();
    mirrored.apply(5, { table: '{"store":"s1","write":"w"}' });
    expect(mirrored.apply(6, { table: "[]" })).toEqual(["/x/table"]);
    expect(identity(mirrored, "[]")).toEqual({ id: "s1", replaces: [] });
    expect(mirrored.mirror.marker).toMatchObject({ store: "s1", replaces: [] });
    expect(mirrored.mirror.rejected).toMatchObject([{ key: "/x/table" }]);
    expect(identity(mirrored, undefined)).toBeUndefined();
  });
});
