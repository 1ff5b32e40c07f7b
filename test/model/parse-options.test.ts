// Goal: what a route may say is checked wholly, every default is filled in, and one wish has one form.
// Method: tables of what is taken, with what it becomes, and of what is refused; random wishes there and back.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RouterError } from "../../src/model/errors.ts";
import {
  noWish,
  type OptionsWish,
  parseOptions,
  parsePage,
} from "../../src/model/parse-options.ts";
import type { RouteOptions } from "../../src/model/route-options.ts";
import { anyOptionsWish } from "../support/any-route.ts";

const parse = (parts: Partial<OptionsWish>) => parseOptions({ ...noWish, ...parts }, "route");
const redirect = { scheme: "", host: "", port: 0, path: "", pathPrefix: "", status: 0 };
const answer = { status: 0, contentType: "", body: "", headers: {} };
const page = { status: 404, contentType: "", body: "" };
const rate = { requests: 5, perMs: 0, burst: 0, key: "route" } as const;
const share = (service: string, weight = 1) => ({ service, weight });
const noRetry = {
  tries: 0,
  perTryMs: undefined,
  on: [],
  statuses: [],
  budgetPercent: 0,
  hedgeMs: undefined,
};
const kib16 = 16 * 1024;

test("nothing asked for is no options", () => {
  expect(parse({})).toBeUndefined();
});

test.for<readonly [Partial<OptionsWish>, unknown]>([
  [
    { split: [share("web", 0), share("api", 1000)] },
    { split: [share("api", 1000), share("web", 0)] },
  ],
  [{ redirect: { ...redirect, scheme: "https" } }, { redirect: { scheme: "https", status: 307 } }],
  [
    { redirect: { ...redirect, host: "WWW.example.com.", port: 8443, path: "/a/", status: 301 } },
    { redirect: { host: "www.example.com", port: 8443, path: "/a/", status: 301 } },
  ],
  [
    { redirect: { ...redirect, pathPrefix: "/new/" } },
    { redirect: { pathPrefix: "/new", status: 307 } },
  ],
  [
    { answer },
    { answer: { status: 200, contentType: "text/plain; charset=utf-8", body: "", headers: {} } },
  ],
  [
    { answer: { ...answer, status: 503, body: "ü", headers: { "Retry-After": "60", B: "" } } },
    {
      answer: {
        status: 503,
        contentType: "text/plain; charset=utf-8",
        body: "ü",
        headers: { B: "", "Retry-After": "60" },
      },
    },
  ],
  [{ rewrite: { pathPrefix: "/", host: "" } }, { rewrite: { pathPrefix: "/" } }],
  [{ rewrite: { pathPrefix: "", host: "B.test" } }, { rewrite: { host: "b.test" } }],
  [{ mirror: { service: "shadow", percent: 0 } }, { mirror: { service: "shadow", percent: 100 } }],
  [
    { access: { allow: ["::1", "10.0.0.0/8", "::1"], deny: [] } },
    { access: { allow: ["10.0.0.0/8", "::1"], deny: [] } },
  ],
  [{ rateLimit: rate }, { rateLimit: { requests: 5, perMs: 1_000, burst: 5, key: "route" } }],
  [
    { rateLimit: { requests: 1, perMs: 3_600_000, burst: 7, key: "client" } },
    { rateLimit: { requests: 1, perMs: 3_600_000, burst: 7, key: "client" } },
  ],
  [
    {
      pages: [
        { ...page, status: 503 },
        { ...page, contentType: "text/plain", body: "none" },
      ],
    },
    {
      pages: [
        { status: 404, contentType: "text/plain", body: "none" },
        { status: 503, contentType: "text/html; charset=utf-8", body: "" },
      ],
    },
  ],
  [{ retry: noRetry }, undefined],
  [{ retry: { ...noRetry, tries: 1 } }, { retry: { tries: 1 } }],
  [
    { retry: { ...noRetry, on: ["reset", "connect", "reset"], budgetPercent: 100 } },
    { retry: { on: ["connect", "reset"], budgetPercent: 100 } },
  ],
  [
    { retry: { ...noRetry, on: ["status", "timeout"], statuses: [599, 429, 599], perTryMs: 1 } },
    { retry: { perTryMs: 1, on: ["timeout", "status"], statuses: [429, 599] } },
  ],
  [
    { retry: { ...noRetry, statuses: [503], hedgeMs: 3_600_000 } },
    { retry: { statuses: [503], hedgeMs: 3_600_000 } },
  ],
  [{ timeoutMs: 1 }, { timeoutMs: 1 }],
  [{ timeoutMs: 3_600_000 }, { timeoutMs: 3_600_000 }],
])("%j", ([asked, options]) => {
  expect(parse(asked)).toStrictEqual(options);
});

describe("refused, by name", () => {
  test.for<readonly [Partial<OptionsWish>, string, RegExp]>([
    [{ retry: { ...noRetry, tries: 11 } }, "retry.tries", /11 is not within 1 to 10/],
    [{ retry: { ...noRetry, perTryMs: 0 } }, "retry.per_try_timeout", /within 1 ms to 1 h/],
    [{ retry: { ...noRetry, on: ["timeout"] } }, "retry.on", /needs a per_try_timeout/],
    [{ retry: { ...noRetry, on: ["status"] } }, "retry.on", /needs statuses/],
    [
      { retry: { ...noRetry, on: ["reset"], statuses: [503] } },
      "retry.statuses",
      /count only with ON_STATUS/,
    ],
    [{ retry: { ...noRetry, statuses: [503, 404] } }, "retry.statuses[1]", /404 is not a status/],
    [{ retry: { ...noRetry, statuses: [600] } }, "retry.statuses[0]", /600 is not a status/],
    [
      { retry: { ...noRetry, statuses: Array.from({ length: 17 }, (_, i) => 500 + i) } },
      "retry.statuses",
      /17 entries/,
    ],
    [{ retry: { ...noRetry, budgetPercent: 101 } }, "retry.budget_percent", /101 is not within/],
    [
      { retry: { ...noRetry, hedgeMs: 3_600_001 } },
      "retry.hedge_after",
      /3600001 ms is not within/,
    ],
    [{ timeoutMs: 0 }, "timeout", /0 ms is not within 1 ms to 1 h/],
    [{ timeoutMs: 3_600_001 }, "timeout", /3600001 ms is not within/],
    [{ split: Array.from({ length: 17 }, (_, i) => share(`s${i}`)) }, "split", /17 entries/],
    [{ split: [share("")] }, "split[0].service", /is required/],
    [{ split: [share("a b")] }, "split[0].service", /not a service name/],
    [{ split: [share("a"), share("b", 1001)] }, "split[1].weight", /0 to 1000/],
    [{ split: [share("a", -1)] }, "split[0].weight", /0 to 1000/],
    [{ split: [share("a", 0.5)] }, "split[0].weight", /0 to 1000/],
    [{ split: [share("a"), share("a", 2)] }, "split", /twice/],
    [{ split: [share("a", 0), share("b", 0)] }, "split", /nobody would answer/],
    [{ redirect }, "redirect", /changes nothing/],
    [{ redirect: { ...redirect, status: 301 } }, "redirect", /changes nothing/],
    [{ redirect: { ...redirect, scheme: "ftp" } }, "redirect.scheme", /neither http nor https/],
    [{ redirect: { ...redirect, host: "*.a.com" } }, "redirect.host", /a pattern/],
    [{ redirect: { ...redirect, host: "a.com:80" } }, "redirect.host", /no port/],
    [{ redirect: { ...redirect, port: 65_536 } }, "redirect.port", /not a port/],
    [{ redirect: { ...redirect, path: "a" } }, "redirect.path", /not a path/],
    [{ redirect: { ...redirect, path: "/a?b" } }, "redirect.path", /not a path/],
    [
      { redirect: { ...redirect, path: "/a", pathPrefix: "/b" } },
      "redirect.path_prefix",
      /exclude/,
    ],
    [{ redirect: { ...redirect, host: "a", status: 300 } }, "redirect.status", /none of 301/],
    [{ redirect: { ...redirect, host: "a", status: 304 } }, "redirect.status", /none of 301/],
    [{ answer: { ...answer, status: 199 } }, "answer.status", /200 to 599/],
    [{ answer: { ...answer, status: 600 } }, "answer.status", /200 to 599/],
    [{ answer: { ...answer, status: 204, body: "x" } }, "answer.body", /204 has none/],
    [{ answer: { ...answer, status: 205, body: "x" } }, "answer.body", /205 has none/],
    [{ answer: { ...answer, status: 304, body: "x" } }, "answer.body", /304 has none/],
    [{ answer: { ...answer, body: "x".repeat(kib16 + 1) } }, "answer.body", /16385 bytes/],
    [{ answer: { ...answer, body: "ü".repeat(kib16 / 2 + 1) } }, "answer.body", /16386 bytes/],
    [{ answer: { ...answer, contentType: "text" } }, "answer.content_type", /media type/],
    [{ answer: { ...answer, contentType: "a/b\r\nX: y" } }, "answer.content_type", /media type/],
    [{ answer: { ...answer, headers: { "a b": "" } } }, "answer.headers", /not the name of/],
    [{ answer: { ...answer, headers: { a: "b\r\nc: d" } } }, "answer.headers", /printable/],
    [{ answer: { ...answer, headers: { a: "ü" } } }, "answer.headers", /printable/],
    [{ answer: { ...answer, headers: { a: "1", A: "1" } } }, "answer.headers", /twice/],
    [{ answer: { ...answer, headers: { "Content-Length": "0" } } }, "answer.headers", /set by/],
    [{ answer: { ...answer, headers: { connection: "close" } } }, "answer.headers", /set by/],
    [{ answer: { ...answer, headers: { TE: "" } } }, "answer.headers", /set by/],
    [
      {
        answer: {
          ...answer,
          headers: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`x${i}`, ""])),
        },
      },
      "answer.headers",
      /17 entries/,
    ],
    [{ rewrite: { pathPrefix: "", host: "" } }, "rewrite", /changes nothing/],
    [{ rewrite: { pathPrefix: "x", host: "" } }, "rewrite.path_prefix", /not a path/],
    [{ rewrite: { pathPrefix: "", host: "*" } }, "rewrite.host", /a pattern/],
    [{ mirror: { service: "", percent: 1 } }, "mirror.service", /required/],
    [{ mirror: { service: "a", percent: 101 } }, "mirror.percent", /1 to 100/],
    [{ mirror: { service: "a", percent: -1 } }, "mirror.percent", /1 to 100/],
    [{ access: { allow: [], deny: [] } }, "access", /names nobody/],
    [{ access: { allow: ["10.0.0.0/8", "x"], deny: [] } }, "access.allow[1]", /not an IP range/],
    [{ access: { allow: [], deny: ["10.0.0.1/8"] } }, "access.deny[0]", /bits set/],
    [
      { access: { allow: Array.from({ length: 257 }, () => "::1"), deny: [] } },
      "access.allow",
      /257/,
    ],
    [{ rateLimit: { ...rate, requests: 0 } }, "rate_limit.requests", /1 to 1000000/],
    [{ rateLimit: { ...rate, requests: 1_000_001 } }, "rate_limit.requests", /1 to 1000000/],
    [{ rateLimit: { ...rate, perMs: 999 } }, "rate_limit.per", /1 s to 1 h/],
    [{ rateLimit: { ...rate, perMs: 3_600_001 } }, "rate_limit.per", /1 s to 1 h/],
    [{ rateLimit: { ...rate, burst: 1_000_001 } }, "rate_limit.burst", /1 to 1000000/],
    [{ pages: [{ ...page, status: 200 }] }, "pages[0].status", /400 to 599/],
    [{ pages: [page, { ...page, status: 600 }] }, "pages[1].status", /400 to 599/],
    [{ pages: [page, { ...page, body: "x" }] }, "pages", /a status twice/],
    [
      { pages: Array.from({ length: 17 }, (_, i) => ({ ...page, status: 400 + i })) },
      "pages",
      /17/,
    ],
    [{ pages: [{ ...page, body: "x".repeat(kib16 + 1) }] }, "pages[0].body", /16385 bytes/],
    [
      {
        answer: { ...answer, body: "x" },
        pages: [400, 401, 402, 403].map((status) => ({ ...page, status, body: "x".repeat(kib16) })),
      },
      "pages",
      /together have 65537 bytes/,
    ],
  ])("%.100j", ([asked, field, reason]) => {
    expect(violationsOf(() => parse(asked))).toEqual([
      { field: `route.${field}`, description: expect.stringMatching(reason) },
    ]);
  });

  test("everything wrong is in one answer, also inside lists", () => {
    const wrong = parseOptionsOf({
      split: [share(""), share("a", -1)],
      redirect: { ...redirect, scheme: "ftp" },
      access: { allow: ["x"], deny: ["y", "::1", "z"] },
      rateLimit: { ...rate, requests: 0 },
    });
    expect(violationsOf(wrong).map(({ field }) => field)).toEqual([
      "split[0].service",
      "split[1].weight",
      "redirect.scheme",
      "access.allow[0]",
      "access.deny[0]",
      "access.deny[2]",
      "rate_limit.requests",
    ]);
  });

  test.for<readonly [Partial<OptionsWish>, readonly string[]]>([
    [
      { split: [share("", -1), share("a", 0), share("a", 0)] },
      ["split[0].service", "split[0].weight", "split"],
    ],
    [
      {
        redirect: {
          scheme: "ftp",
          host: "a:1",
          port: 70_000,
          path: "x",
          pathPrefix: "/y",
          status: 300,
        },
      },
      ["status", "scheme", "host", "port", "path", "path_prefix"].map((name) => `redirect.${name}`),
    ],
    [
      { answer: { status: 204, contentType: "x", body: "x", headers: { Date: "x" } } },
      ["content_type", "body", "headers"].map((name) => `answer.${name}`),
    ],
    [
      { answer: { ...answer, status: 199, body: "x".repeat(kib16 + 1) } },
      ["answer.status", "answer.body"],
    ],
    [{ rewrite: { pathPrefix: "x", host: "*" } }, ["rewrite.path_prefix", "rewrite.host"]],
    [{ mirror: { service: "", percent: 101 } }, ["mirror.service", "mirror.percent"]],
    [
      { rateLimit: { ...rate, requests: 0, perMs: 1, burst: 1_000_001 } },
      ["rate_limit.requests", "rate_limit.per", "rate_limit.burst"],
    ],
    [
      { pages: [{ status: 399, contentType: "x", body: "x".repeat(kib16 + 1) }, page, page] },
      ["pages[0].status", "pages[0].content_type", "pages[0].body", "pages"],
    ],
  ])("everything wrong in one part is in one answer as well: %j", ([asked, fields]) => {
    expect(violationsOf(parseOptionsOf(asked)).map(({ field }) => field)).toEqual(fields);
  });

  test("a page of a node, the same way", () => {
    expect(parsePage({ ...page, body: "x" }, "page").contentType).toBe("text/html; charset=utf-8");
    expect(violationsOf(() => parsePage({ ...page, status: 399 }, "page"))).toMatchObject([
      { field: "page.status" },
    ]);
  });
});

test("what came out goes in again and stays the same, as text too", () => {
  fc.assert(
    fc.property(anyOptionsWish, (asked) => {
      const options = parseOptions(asked, "");
      const again = parseOptions(wishOf(options), "");
      expect(again).toStrictEqual(options);
      expect(JSON.stringify(again)).toBe(JSON.stringify(options));
    }),
  );
});

test("the order of a caller's lists does not count", () => {
  fc.assert(
    fc.property(anyOptionsWish, (asked) => {
      const { split, pages, access } = asked;
      const turned = {
        ...asked,
        split: split.toReversed(),
        pages: pages.toReversed(),
        access:
          access === undefined
            ? undefined
            : { allow: access.allow.toReversed(), deny: access.deny.toReversed() },
      };
      expect(JSON.stringify(parseOptions(turned, ""))).toBe(
        JSON.stringify(parseOptions(asked, "")),
      );
    }),
  );
});

/** The same asked for again, in full. */
function wishOf(options: RouteOptions = {}): OptionsWish {
  const { redirect: to, rewrite, retry, split = [], pages = [], ...others } = options;
  return {
    ...noWish,
    ...others,
    split,
    pages,
    ...(to === undefined ? {} : { redirect: { ...redirect, ...to } }),
    ...(rewrite === undefined ? {} : { rewrite: { pathPrefix: "", host: "", ...rewrite } }),
    ...(retry === undefined ? {} : { retry: { ...noRetry, ...retry } }),
  };
}

function parseOptionsOf(parts: Partial<OptionsWish>): () => unknown {
  return () => parseOptions({ ...noWish, ...parts }, "");
}

function violationsOf(run: () => unknown) {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof RouterError && thrown.code === "invalid-argument") {
      return thrown.details.violations ?? [];
    }
    throw thrown;
  }
  throw new Error("it was taken");
}
