// Goal: a route answers what its exact path, method, fields and query allow, and of several that do the one that
// the contract names; a route whose conditions fail is as if it were not there.
// Method: tables of routes and requests, put forwards and backwards; explain must name the same.

import { describe, expect, test } from "vitest";
import { asking, change, matchHttp, route, routeRemoved, tableOf } from "./changes.ts";

type Headers = Readonly<Record<string, string>>;

interface Case {
  readonly name: string;
  /** Matches; each route is named by its position: r0, r1, ... */
  readonly routes: readonly string[];
  /** [method and target, headers, which route]; the host is a.com, or stands before the target. */
  readonly requests: readonly (readonly [string, Headers, string | undefined])[];
}

const cases: readonly Case[] = [
  {
    name: "an exact path, and nothing else",
    routes: ["a.com=/api"],
    requests: [
      ["GET /api", {}, "r0"],
      ["GET /api?x=/api/", {}, "r0"],
      ["GET /api/", {}, undefined],
      ["GET /api/x", {}, undefined],
      ["GET /apix", {}, undefined],
      ["GET /ap", {}, undefined],
      ["GET /", {}, undefined],
      ["GET //api", {}, undefined],
      ["GET /%61pi", {}, undefined],
    ],
  },
  {
    name: "an exact path with a slash at its end, and that of /",
    routes: ["a.com=/api/", "a.com=/", "a.com=/api/v1"],
    requests: [
      ["GET /api/", {}, "r0"],
      ["GET /api", {}, undefined],
      ["GET /", {}, "r1"],
      ["OPTIONS *", {}, undefined],
      ["GET /api/v1", {}, "r2"],
      ["GET /api/v1/a/path/that/is/longer/than/every/exact/one", {}, undefined],
    ],
  },
  {
    name: "an exact path before the longest prefix",
    routes: ["a.com/a/b", "a.com=/a", "a.com", "a.com=/a/b", "a.com/a"],
    requests: [
      ["GET /a", {}, "r1"],
      ["GET /a/", {}, "r4"],
      ["GET /a/b", {}, "r3"],
      ["GET /a/b/", {}, "r0"],
      ["GET /x", {}, "r2"],
    ],
  },
  {
    name: "the domain before everything else",
    routes: ["*.com=/p [GET header x=1 query q=1]", "a.com"],
    requests: [
      ["GET /p?q=1", { x: "1" }, "r1"],
      ["GET b.com/p?q=1", { x: "1" }, "r0"],
    ],
  },
  {
    name: "methods, with their case",
    routes: ["a.com [GET|HEAD]", "a.com [POST]"],
    requests: [
      ["GET /", {}, "r0"],
      ["HEAD /", {}, "r0"],
      ["POST /x", {}, "r1"],
      ["get /", {}, undefined],
      ["GE /", {}, undefined],
      ["GETS /", {}, undefined],
    ],
  },
  {
    name: "a field: its name without case, its value exactly",
    routes: ["a.com [header X-Canary=Yes]"],
    requests: [
      ["GET /", { "x-cANARY": "Yes" }, "r0"],
      ["GET /", { "x-canary": "\t Yes " }, "r0"],
      ["GET /", { "x-canary": "yes" }, undefined],
      ["GET /", { "x-canary": "Yes, No" }, undefined],
      ["GET /", { "x-canary": "" }, undefined],
      ["GET /", { x_canary: "Yes" }, undefined],
      ["GET /", {}, undefined],
    ],
  },
  {
    name: "how a field begins, whether it is there, whether it is not",
    routes: ["a.com [header v=ab*]", "a.com/is [header v]", "a.com/not [header !v]"],
    requests: [
      ["GET /", { v: "ab" }, "r0"],
      ["GET /", { v: "abc" }, "r0"],
      ["GET /", { v: "a" }, undefined],
      ["GET /", { v: "xab" }, undefined],
      ["GET /is", { v: "" }, "r1"],
      ["GET /is", { V: "x" }, "r1"],
      ["GET /is", {}, undefined],
      ["GET /not", {}, "r2"],
      ["GET /not", { v: "" }, undefined],
    ],
  },
  {
    name: "one of several lines of a name, and none for absence",
    routes: ["a.com [header v=2]", "a.com/not [header !v]"],
    requests: [
      ["GET /", { v: "1", V: "2" }, "r0"],
      ["GET /", { v: "1", V: "3" }, undefined],
      ["GET /not", { v: "1", V: "" }, undefined],
    ],
  },
  {
    name: "query parameters as sent",
    routes: ["a.com [query v=2]", "a.com/begins [query v=2*]", "a.com/is [query v]"],
    requests: [
      ["GET /?v=2", {}, "r0"],
      ["GET /?a&v=2&b", {}, "r0"],
      ["GET /?v=1&v=2", {}, "r0"],
      ["GET /?v=2=", {}, undefined],
      ["GET /?V=2", {}, undefined],
      ["GET /?vv=2", {}, undefined],
      ["GET /?v=22", {}, undefined],
      ["GET /?v=%32", {}, undefined],
      ["GET /?a=1;v=2", {}, undefined],
      ["GET /?a?v=2", {}, undefined],
      ["GET /?v", {}, undefined],
      ["GET /?", {}, undefined],
      ["GET /", {}, undefined],
      ["GET /v=2", {}, undefined],
      ["GET /begins?v=2", {}, "r1"],
      ["GET /begins?v=23=4", {}, "r1"],
      ["GET /begins?v=1", {}, undefined],
      ["GET /is?v", {}, "r2"],
      ["GET /is?v=", {}, "r2"],
      ["GET /is?&&v&", {}, "r2"],
      ["GET /is?vv&w=v", {}, undefined],
      ["GET /is", {}, undefined],
    ],
  },
  {
    name: "an empty value, with and without its sign; and absence",
    routes: ["a.com/is [query v=]", "a.com/not [query !v]"],
    requests: [
      ["GET /is?v", {}, "r0"],
      ["GET /is?v=", {}, "r0"],
      ["GET /is?v=0", {}, undefined],
      ["GET /is?", {}, undefined],
      ["GET /not?w=v", {}, "r1"],
      ["GET /not", {}, "r1"],
      ["GET /not?w&v", {}, undefined],
    ],
  },
  {
    name: "all of its conditions, not some",
    routes: ["a.com [GET header a=1 header b=2 query v]"],
    requests: [
      ["GET /?v", { a: "1", b: "2" }, "r0"],
      ["POST /?v", { a: "1", b: "2" }, undefined],
      ["GET /?v", { a: "1", b: "1" }, undefined],
      ["GET /?v", { a: "2", b: "2" }, undefined],
      ["GET /", { a: "1", b: "2" }, undefined],
    ],
  },
  {
    name: "methods before headers, headers before query, more before fewer",
    routes: [
      "a.com",
      "a.com [query v query w]",
      "a.com [query v]",
      "a.com [header a query v]",
      "a.com [header a header b]",
      "a.com [GET]",
      "a.com [GET query v]",
    ],
    requests: [
      ["POST /", {}, "r0"],
      ["POST /?v", {}, "r2"],
      ["POST /?v&w", {}, "r1"],
      ["POST /?v&w", { a: "" }, "r3"],
      ["POST /?v&w", { a: "", b: "" }, "r4"],
      ["GET /", { a: "", b: "" }, "r5"],
      ["GET /?v", { a: "", b: "" }, "r6"],
    ],
  },
  {
    name: "the longest prefix before conditions",
    routes: ["a.com/a [GET header x query y]", "a.com/a/b"],
    requests: [
      ["GET /a/b?y", { x: "" }, "r1"],
      ["GET /a?y", { x: "" }, "r0"],
    ],
  },
  {
    name: "how many methods there are does not count",
    routes: ["a.com [GET|HEAD|POST]", "a.com [GET header x]"],
    requests: [
      ["GET /", { x: "" }, "r1"],
      ["GET /", {}, "r0"],
    ],
  },
  {
    name: "shorter prefixes, other paths and less specific domains when conditions fail",
    routes: [
      "x.a.com=/a/b [POST]",
      "x.a.com/a/b [header x=1]",
      "x.a.com/a [header x=2]",
      "*.a.com/a [header x=3]",
      "*.com [header x=4]",
      "*",
    ],
    requests: [
      ["POST x.a.com/a/b", { x: "1" }, "r0"],
      ["GET x.a.com/a/b", { x: "1" }, "r1"],
      ["GET x.a.com/a/b", { x: "2" }, "r2"],
      ["GET x.a.com/a/b", { x: "3" }, "r3"],
      ["GET x.a.com/a/b", { x: "4" }, "r4"],
      ["GET x.a.com/a/b", {}, "r5"],
    ],
  },
];

function requestOf(text: string): { host: string; target: string; method: string } {
  const [method = "", place = ""] = text.split(" ");
  const slash = place.indexOf("/");
  return slash > 0
    ? { method, host: place.slice(0, slash), target: place.slice(slash) }
    : { method, host: "a.com", target: place };
}

describe("matchHttp asks for", () => {
  test.for(cases)("$name", ({ routes, requests }) => {
    const puts = routes.map((match, i) => route(`r${i}`, match));
    for (const table of [tableOf(...puts), tableOf(...puts.toReversed())]) {
      for (const [text, headers, expected] of requests) {
        const { host, target, method } = requestOf(text);
        const label = `${text} ${JSON.stringify(headers)}`;
        expect(matchHttp(table, host, target, { method, headers })?.name, label).toBe(expected);
        const question = asking(host, target, { method, headers });
        expect(table.explain(question, () => 0).route, `explain ${label}`).toBe(expected ?? "");
      }
    }
  });
});

describe("of routes with as many conditions", () => {
  const both = { headers: { a: "", b: "" } };

  test("the one that has had its match longest is asked first", () => {
    const older = route("z", "a.com [header a]", "web", false, 4);
    const newer = route("m", "a.com [header b]", "web", false, 5);
    for (const table of [tableOf(older, newer), tableOf(newer, older)]) {
      expect(matchHttp(table, "a.com", "/", both)?.name).toBe("z");
    }
  });

  test("and of the same revision the one with the smaller name", () => {
    const [one, two] = [route("m", "a.com [header b]"), route("z", "a.com [header a]")];
    for (const table of [tableOf(one, two), tableOf(two, one)]) {
      expect(matchHttp(table, "a.com", "/", both)?.name).toBe("m");
    }
  });
});

describe("a place with several routes", () => {
  test("refuses the same conditions, however they were written, and takes others", () => {
    const table = tableOf(
      route("a", "a.com/p [POST|GET header x=1 header y]"),
      route("b", "a.com/p"),
    );
    const same = route("c", "a.com/p/ [GET|POST header Y header X=1]");
    expect(() => change(table, same)).toThrow(
      /"a" and "c" both match a\.com\/p \[GET\|POST header x=1 header y\]/,
    );
    expect(() => change(table, route("c", "a.com/p"))).toThrow(/"b" and "c"/);
    change(
      table,
      route("c", "a.com/p [GET|POST header x=1* header y]"),
      route("d", "a.com=/p [POST|GET header x=1 header y]"),
      route("e", "a.com=/p"),
      route("f", "a.com"),
      route("g", "a.com=/"),
      route("h", "a.com [GET]"),
    );
    expect(table.routeCount).toBe(8);
    expect(() => change(table, route("i", "a.com=/p"))).toThrow(
      /"e" and "i" both match a\.com=\/p/,
    );
    expect(() => change(table, route("i", "a.com [GET]"))).toThrow(/"h" and "i"/);
    expect(() => change(table, route("i", "a.com"))).toThrow(/"f" and "i"/);
    expect(() => change(table, route("i", "a.com=/"))).toThrow(/"g" and "i"/);
  });

  test("lets two swap their conditions", () => {
    const table = tableOf(route("a", "a.com [GET]"), route("b", "a.com [POST]"));
    change(table, route("b", "a.com [GET]"), route("a", "a.com [POST]"));
    expect(matchHttp(table, "a.com", "/", { method: "GET" })?.name).toBe("b");
  });

  test("goes on with those that stay", () => {
    const table = tableOf(
      route("plain", "a.com"),
      route("get", "a.com [GET]"),
      route("exact", "a.com=/x"),
      route("exact-get", "a.com=/x [GET]"),
    );
    const found = (): (string | undefined)[] =>
      ["GET", "POST"].flatMap((method) =>
        ["/", "/x"].map((path) => matchHttp(table, "a.com", path, { method })?.name),
      );
    expect(found()).toEqual(["get", "exact-get", "plain", "exact"]);
    change(table, routeRemoved("plain"));
    expect(found()).toEqual(["get", "exact-get", undefined, "exact"]);
    change(table, routeRemoved("exact-get"));
    expect(found()).toEqual(["get", "exact", undefined, "exact"]);
    change(table, routeRemoved("exact"));
    expect(found()).toEqual(["get", "get", undefined, undefined]);
    change(table, route("plain", "a.com"), routeRemoved("get"));
    expect(found()).toEqual(["plain", "plain", "plain", "plain"]);
    change(table, routeRemoved("plain"));
    expect(found()).toEqual([undefined, undefined, undefined, undefined]);
  });

  test("may have a thousand, and each is found", () => {
    const table = tableOf(
      ...Array.from({ length: 1000 }, (_, i) => route(`r${i}`, `a.com [header x-tenant=t${i}]`)),
    );
    for (const i of [0, 499, 999]) {
      const headers = { "x-tenant": `t${i}` };
      expect(matchHttp(table, "a.com", "/", { headers })?.name).toBe(`r${i}`);
    }
    expect(matchHttp(table, "a.com", "/", { headers: { "x-tenant": "t" } })).toBeUndefined();
  });
});

test("an exact path and a prefix whose hashes are those of other paths are told apart", () => {
  // Searched for: FNV-1a gives both the same 32 bits.
  const table = tableOf(route("exact", "a.com=/p/35zx"), route("prefix", "a.com/p/apcd"));
  expect(matchHttp(table, "a.com", "/p/35zx")?.name).toBe("exact");
  expect(matchHttp(table, "a.com", "/p/apcd")?.name).toBe("prefix");
  change(table, routeRemoved("exact"), route("prefix", "a.com/p/35zx"));
  expect(matchHttp(table, "a.com", "/p/apcd")).toBeUndefined();
});
