// Goal: a route that was given no name gets one that is always valid, always the same, and nobody else's.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Conditions } from "../../src/model/conditions.ts";
import {
  parseDomain,
  parseExactPath,
  parsePathPrefix,
  parseRouteName,
  parseServiceName,
} from "../../src/model/names.ts";
import { parseRevision } from "../../src/model/revision.ts";
import {
  deriveRouteName,
  type HttpMatch,
  matchKeyOf,
  matchText,
  type Route,
  type RouteMatch,
  sameLabels,
  sameRoute,
  servicesOf,
  targetText,
} from "../../src/model/route.ts";
import { anyMatch } from "../support/any-route.ts";
import { routeOf } from "../support/table-fixtures.ts";

const httpOf = (domain: string, prefix = "/"): HttpMatch => ({
  kind: "http",
  domain: parseDomain(domain),
  pathPrefix: parsePathPrefix(prefix),
});
const http: (domain: string, prefix?: string) => RouteMatch = httpOf;
const tcp = (port: number): RouteMatch => ({ kind: "tcp", port });

test.for<[RouteMatch, string, string]>([
  [http("a.com"), "http a.com/", "a.com"],
  [http("a.com", "/api"), "http a.com/api", "a.com/api"],
  [http("*"), "http */", "*"],
  [http("tcp.80"), "http tcp.80/", "tcp.80"],
  [tcp(80), "tcp 80", "tcp:80"],
])("%j has the key %s and is shown as %s", ([match, key, text]) => {
  expect(matchKeyOf(match)).toBe(key);
  expect(matchText(match)).toBe(text);
});

describe("deriveRouteName", () => {
  /** Hashes by another implementation of FNV-1a: a name must never change from version to version. */
  test.for<[RouteMatch, string]>([
    [tcp(5432), "tcp-5432"],
    [http("app.example.com"), "app-example-com"],
    [http("localhost"), "localhost"],
    [http("a".repeat(63)), "a".repeat(63)],
    [http("a-b.com"), "a-b-com-HASH"],
    [http("a.com", "/api/V1"), "a-com-api-v1-HASH"],
    [http("*.example.com"), "any-example-com-HASH"],
    [http("*"), "any-HASH"],
    [http(`${"a".repeat(63)}.com`), `${"a".repeat(54)}-HASH`],
    [http(`${"a".repeat(53)}.${"b".repeat(20)}`), `${"a".repeat(53)}-HASH`],
    [http("_srv.example"), "srv-example-HASH"],
    // Nothing of these can stand in a name.
    [http("_"), "route-HASH"],
    [http("__._"), "route-HASH"],
    // Spelt plainly, these would be the names of others: tcp:5432, and a name with a hash.
    [http("tcp.5432"), "tcp-5432-HASH"],
    [http("any.deadbeef"), "any-deadbeef-HASH"],
  ])("%j is %s", ([match, name]) => {
    expect(deriveRouteName(match)).toBe(name.replace("HASH", hashOf(matchText(match))));
  });

  test('the hash is FNV-1a, by the values of RFC 9923 for "", "a" and "foobar"', () => {
    expect(["", "a", "foobar"].map(hashOf)).toEqual(["811c9dc5", "e40c292c", "bf9cf968"]);
  });

  const label = fc.oneof(
    fc.constantFrom("a", "b", "tcp", "80", "any", "-", "_", "__", "a-b", "deadbeef", "00000001"),
    fc.stringMatching(/^[a-z0-9_]{1,9}$/),
    fc.constant("a".repeat(60)),
  );
  const domain = fc
    .tuple(fc.constantFrom("", "", "*."), fc.array(label, { minLength: 1, maxLength: 4 }))
    .map(([wild, parts]) => wild + parts.map((part) => part.replace(/^-$/, "x-x")).join("."));
  const prefix = fc.constantFrom("/", "/", "/", "/a", "/A", "/b", "/-", "/deadbeef");
  const someMatch = fc.oneof(
    { weight: 5, arbitrary: fc.tuple(domain, prefix).map(([d, p]) => http(d, p)) },
    { weight: 1, arbitrary: fc.constantFrom(1, 80, 65_535).map(tcp) },
  );

  test("makes a name that the parser takes, the same each time", () => {
    fc.assert(
      fc.property(someMatch, (match) => {
        const name = deriveRouteName(match);
        expect(parseRouteName(name)).toBe(name);
        expect(deriveRouteName({ ...match })).toBe(name);
      }),
      { numRuns: 1000 },
    );
  });

  test("gives two matches one name only where their hashes are one", () => {
    fc.assert(
      fc.property(fc.array(someMatch, { minLength: 2, maxLength: 40 }), (matches) => {
        const holders = new Map<string, RouteMatch>();
        for (const match of matches) {
          const name = deriveRouteName(match);
          const holder = holders.get(name) ?? match;
          holders.set(name, match);
          if (matchKeyOf(holder) === matchKeyOf(match)) continue;
          for (const each of [holder, match]) {
            expect(name.endsWith(`-${hashOf(matchText(each))}`), name).toBe(true);
          }
        }
      }),
      { numRuns: 1000 },
    );
  });

  test("a plain name belongs to one match, whoever tries to sound like it", () => {
    const hashed = deriveRouteName(http("a.com", "/api"));
    for (const [name, imposter] of [
      [hashed, http(hashed.replaceAll("-", "."))],
      [deriveRouteName(tcp(80)), http("tcp.80")],
      [deriveRouteName(http("a.b.com")), http("a-b.com")],
      [deriveRouteName(http("a.b")), http("a", "/b")],
      [deriveRouteName(http("any.com")), http("*.com")],
    ] as const) {
      expect(deriveRouteName(imposter)).not.toBe(name);
    }
  });
});

describe("a match by more than domain and prefix", () => {
  const exactly = (path: string): RouteMatch => ({
    ...httpOf("a.com"),
    exactPath: parseExactPath(path),
  });
  const on = (when: Partial<Conditions>): RouteMatch => ({
    ...httpOf("a.com"),
    when: { methods: [], headers: [], query: [], ...when },
  });
  const canary = { name: "x-canary", op: "exact", value: "1" } as const;

  test("is shown in words", () => {
    expect(matchText(exactly("/api"))).toBe("a.com=/api");
    expect(matchText(exactly("/"))).toBe("a.com=/");
    expect(matchText(on({ methods: ["GET", "HEAD"], headers: [canary] }))).toBe(
      "a.com [GET|HEAD header x-canary=1]",
    );
  });

  test("has a key of its own", () => {
    const matches = [
      http("a.com"),
      http("a.com", "/api"),
      exactly("/"),
      exactly("/api"),
      exactly("/api/"),
      on({ methods: ["GET"] }),
      on({ headers: [canary] }),
      on({ query: [canary] }),
      on({ headers: [{ ...canary, op: "prefix" }] }),
      on({ headers: [{ ...canary, name: "x-canary=1" }] }),
    ];
    expect(new Set(matches.map(matchKeyOf)).size).toBe(matches.length);
    expect(new Set(matches.map(deriveRouteName)).size).toBe(matches.length);
    expect(matchKeyOf(on({ headers: [canary] }))).toBe(
      matchKeyOf(on({ headers: [{ ...canary }] })),
    );
  });

  test("any two matches have one key, one text and one name only when they are one", () => {
    fc.assert(
      fc.property(anyMatch, anyMatch, (a, b) => {
        const same = JSON.stringify(a) === JSON.stringify(b);
        expect(matchKeyOf(a) === matchKeyOf(b)).toBe(same);
        expect(matchText(a) === matchText(b)).toBe(same);
        expect(parseRouteName(deriveRouteName(a))).toBe(deriveRouteName(a));
      }),
      { numRuns: 1000 },
    );
  });
});

describe("where a route leads", () => {
  const service = parseServiceName("web");
  const split = [
    { service, weight: 90 },
    { service: parseServiceName("next"), weight: 10 },
  ];
  const redirect = { status: 308 };
  const answer = { status: 503, contentType: "a/b", body: "", headers: {} };
  const mirror = { service: parseServiceName("shadow"), percent: 1 };

  test.for<[Partial<Route>, string, readonly string[]]>([
    [{ service }, "web", ["web"]],
    [{ service, options: { mirror } }, "web", ["web", "shadow"]],
    [{ service, options: { redirect } }, "redirect 308, else web", ["web"]],
    [{ service: undefined, options: { split } }, "web 90, next 10", ["web", "next"]],
    [
      { service: undefined, options: { split, mirror: { service, percent: 5 } } },
      "web 90, next 10",
      ["web", "next"],
    ],
    [{ service: undefined, options: { redirect } }, "redirect 308", []],
    [{ service: undefined, options: { answer } }, "answer 503", []],
  ])("%j", ([parts, text, services]) => {
    const route = { ...routeOf("web", "a.com"), ...parts };
    expect(targetText(route)).toBe(text);
    expect(servicesOf(route)).toEqual(services);
  });
});

describe("sameRoute", () => {
  const web: Route = { ...routeOf("web", "a.com"), labels: { a: "1", b: "2" } };
  test.for<[string, Partial<Route>, boolean]>([
    ["the same settings", { match: http("a.com"), labels: { b: "2", a: "1" } }, true],
    ["another revision", { revision: parseRevision(9) }, true],
    ["other times", { createTimeMs: 1, updateTimeMs: 2 }, true],
    ["another name", { name: parseRouteName("web2") }, false],
    ["another domain", { match: http("b.com") }, false],
    ["another path", { match: http("a.com", "/b") }, false],
    ["another kind", { match: tcp(80) }, false],
    ["another service", { service: routeOf("x", 1, "db").service }, false],
    ["stickiness", { sticky: true }, false],
    ["another label", { labels: { a: "1", b: "3" } }, false],
    ["an option", { options: { access: { allow: ["::1"], deny: [] } } }, false],
    ["no service", { service: undefined }, false],
    ["an exact path", { match: { ...httpOf("a.com"), exactPath: parseExactPath("/") } }, false],
    ["one label less", { labels: { a: "1" } }, false],
  ])("%s", ([, difference, isSame]) => {
    expect(sameRoute(web, { ...web, ...difference })).toBe(isSame);
    expect(sameRoute({ ...web, ...difference }, web)).toBe(isSame);
  });

  test("what every object has by birth is no label", () => {
    expect(sameLabels({ constructor: "x" }, { a: "x" })).toBe(false);
    expect(sameLabels({ a: "x" }, { constructor: "x" })).toBe(false);
    expect(sameLabels({ constructor: "x" }, { constructor: "x" })).toBe(true);
  });
});

/** FNV-1a over bytes, in whole numbers of any size. */
function hashOf(text: string): string {
  let hash = 0x811c9dc5n;
  for (const byte of Buffer.from(text, "latin1")) {
    hash = ((hash ^ BigInt(byte)) * 0x01000193n) % 2n ** 32n;
  }
  return hash.toString(16).padStart(8, "0");
}
