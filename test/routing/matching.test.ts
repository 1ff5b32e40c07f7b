// Goal: a request goes to the route that the routing rules name, and to no other.
// Method: tables of hosts and paths; the rules of the manual and the cases of the predecessors.

import { describe, expect, test } from "vitest";
import { QuestionFacts } from "../../src/routing/question-facts.ts";
import { asking, matchHttp, route, tableOf } from "./changes.ts";

interface Case {
  readonly name: string;
  /** Matches; each route is named by its position: r0, r1, ... */
  readonly routes: readonly string[];
  /** [host, path, which route] */
  readonly requests: readonly (readonly [string, string, string | undefined])[];
}

const cases: readonly Case[] = [
  {
    name: "an exact host",
    routes: ["app.example.com"],
    requests: [
      ["app.example.com", "/", "r0"],
      ["app.example.com", "/any/path", "r0"],
      ["example.com", "/", undefined],
      ["x.app.example.com", "/", undefined],
      ["app.example.comx", "/", undefined],
      ["", "/", undefined],
    ],
  },
  {
    name: "a domain written in mixed case with a trailing dot",
    routes: ["App.Example.COM."],
    requests: [["app.example.com", "/", "r0"]],
  },
  {
    name: "a wildcard, for one or more labels and never the apex",
    routes: ["*.foo.bar"],
    requests: [
      ["a.foo.bar", "/", "r0"],
      ["a.b.foo.bar", "/x", "r0"],
      ["foo.bar", "/", undefined],
      [".foo.bar", "/", undefined],
      ["a..foo.bar", "/", undefined],
      ["afoo.bar", "/", undefined],
      ["bar", "/", undefined],
    ],
  },
  {
    name: "exact before the longest wildcard before a shorter one before any",
    routes: ["*", "*.com", "*.example.com", "*.app.example.com", "app.example.com"],
    requests: [
      ["app.example.com", "/", "r4"],
      ["v2.app.example.com", "/", "r3"],
      ["other.example.com", "/", "r2"],
      ["example.com", "/", "r1"],
      ["com", "/", "r0"],
      ["localhost", "/", "r0"],
      ["", "/", "r0"],
      ["[::1]", "/", "r0"],
      ["10.0.0.1", "/", "r0"],
      [`${"a.".repeat(400)}example.com`, "/", "r0"],
    ],
  },
  {
    name: "whole segments of the path, the longest prefix",
    routes: ["a.com/2/", "a.com/3", "a.com", "a.com/2/deep/er"],
    requests: [
      ["a.com", "/2", "r0"],
      ["a.com", "/2/", "r0"],
      ["a.com", "/2/x", "r0"],
      ["a.com", "/2/deep", "r0"],
      ["a.com", "/2/deep/er", "r3"],
      ["a.com", "/2/deep/er/", "r3"],
      ["a.com", "/2/deep/erx", "r0"],
      ["a.com", "/3", "r1"],
      ["a.com", "/3/", "r1"],
      ["a.com", "/23", "r2"],
      ["a.com", "/", "r2"],
      ["a.com", "/x/2", "r2"],
    ],
  },
  {
    name: "the path as sent: nothing decoded, nothing merged",
    routes: ["a.com/api", "a.com/a//b", "a.com/x%2Fy", "a.com/Up"],
    requests: [
      ["a.com", "//api", undefined],
      ["a.com", "/%61pi", undefined],
      ["a.com", "/x/../api", undefined],
      ["a.com", "/./api", undefined],
      ["a.com", "/API", undefined],
      ["a.com", "/api//x", "r0"],
      ["a.com", "/api/../x", "r0"],
      ["a.com", "/a//b", "r1"],
      ["a.com", "/a/b", undefined],
      ["a.com", "/x%2Fy/z", "r2"],
      ["a.com", "/x%2fy", undefined],
      ["a.com", "/Up", "r3"],
    ],
  },
  {
    name: "everything under /, also what is no path",
    routes: ["a.com", "a.com/api"],
    requests: [
      ["a.com", "*", "r0"],
      ["a.com", "", "r0"],
      ["a.com", "/", "r0"],
      ["a.com", "//", "r0"],
      ["a.com", "api", "r0"],
    ],
  },
  {
    name: "less specific domains when no path matches",
    routes: ["app.example.com/api", "*.example.com/docs", "*.com/api", "*/help", "*"],
    requests: [
      ["app.example.com", "/api/x", "r0"],
      ["app.example.com", "/docs", "r1"],
      ["app.example.com", "/help/me", "r3"],
      ["app.example.com", "/x", "r4"],
      ["other.example.com", "/api", "r2"],
    ],
  },
  {
    name: "a path without a route for /",
    routes: ["a.com/only"],
    requests: [
      ["a.com", "/only", "r0"],
      ["a.com", "/", undefined],
    ],
  },
  {
    // Searched for: FNV-1a gives both the same 32 bits.
    name: "prefixes whose hashes are equal",
    routes: ["a.com/p/35zx", "a.com/p/apcd"],
    requests: [
      ["a.com", "/p/35zx/x", "r0"],
      ["a.com", "/p/apcd", "r1"],
    ],
  },
  {
    name: "names that mean something to JavaScript",
    routes: ["__proto__", "constructor/__proto__", "*.tostring"],
    requests: [
      ["__proto__", "/", "r0"],
      ["constructor", "/__proto__", "r1"],
      ["constructor", "/", undefined],
      ["hasownproperty", "/", undefined],
      ["x.tostring", "/", "r2"],
    ],
  },
];

describe("matchHttp", () => {
  test.for(cases)("matches $name", ({ routes, requests }) => {
    const forwards = tableOf(...routes.map((match, i) => route(`r${i}`, match)));
    const backwards = tableOf(...routes.map((match, i) => route(`r${i}`, match)).toReversed());
    for (const [host, path, expected] of requests) {
      expect(matchHttp(forwards, host, path)?.name, `${host} ${path}`).toBe(expected);
      expect(matchHttp(backwards, host, path)?.name, `${host} ${path}, reversed`).toBe(expected);
      const explained = forwards.explain(asking(host, path), () => 0).route;
      expect(explained, `explain ${host} ${path}`).toBe(expected ?? "");
    }
  });

  test("reads the path where it lies, not what is around it", () => {
    const table = tableOf(route("r0", "a.com/api"));
    const bytes = new TextEncoder().encode("/api/api/xa.com");
    const facts = new QuestionFacts(asking("a.com", "/api"), "");
    const at = (targetStart: number, pathEnd: number): string | undefined =>
      table.matchHttp(bytes, { hostStart: 10, hostEnd: 15, targetStart, pathEnd }, facts)?.name;
    expect(at(0, 4)).toBe("r0");
    expect(at(4, 8)).toBe("r0");
    expect(at(0, 3)).toBeUndefined();
    expect(at(8, 10)).toBeUndefined();
  });

  test("finds a prefix of 1024 characters under a path of a thousand segments", () => {
    const deep = "/a".repeat(512);
    const table = tableOf(route("deep", `a.com${deep}`), route("root", "a.com"));
    expect(matchHttp(table, "a.com", `${deep}/more`)?.name).toBe("deep");
    expect(matchHttp(table, "a.com", deep.slice(0, -2))?.name).toBe("root");
    expect(matchHttp(table, "a.com", "/".repeat(8000))?.name).toBe("root");
  });
});

describe("matchTcp", () => {
  test("finds the route of a port", () => {
    const table = tableOf(route("db", "tcp:5432", "postgres"), route("web", "a.com"));
    expect(table.matchTcp(5432)?.service?.name).toBe("postgres");
    expect(table.matchTcp(5433)).toBeUndefined();
  });
});
