// Goal: all that may be in a route is understood from a hand, comes back from the store, and is refused by name where
// it is wrong. What is common to all entries is in etcd-values.test.ts.
// Method: tables of values; random routes there and back; the largest route; large values against the clock.

import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { messageToJson } from "../../src/cli/proto-json.ts";
import { renderRoute } from "../../src/control/render-route.ts";
import * as proto from "../../src/gen/crosspoint/v1/router.ts";
import { etcdValueBytesMax } from "../../src/limits.ts";
import { parseConditions } from "../../src/model/conditions.ts";
import { RouterError } from "../../src/model/errors.ts";
import {
  parseDomain,
  parsePathPrefix,
  parseRouteName,
  parseServiceName,
} from "../../src/model/names.ts";
import { noWish, parseOptions } from "../../src/model/parse-options.ts";
import { parseRevision, revisionZero } from "../../src/model/revision.ts";
import type { Route } from "../../src/model/route.ts";
import { decodeRoute, encodeRoute } from "../../src/store/etcd-route-values.ts";
import { decodeService, encodeService } from "../../src/store/etcd-values.ts";
import { anyTarget } from "../support/any-route.ts";
import { routeNamed } from "./samples.ts";

const facts = { revision: parseRevision(40), created: parseRevision(31), leased: false };
const route = (text: string): Route =>
  decodeRoute(text, { kind: "route", name: parseRouteName("web") }, facts);
const byHttp = {
  kind: "http",
  domain: parseDomain("app.example.com"),
  pathPrefix: parsePathPrefix("/"),
} as const;
const http = '"http":{"domain":"app.example.com"}';

describe("a route by hand, with all that may be in one", () => {
  const options = (fields: string): Route["options"] =>
    route(`{${http},"service":"web",${fields}}`).options;
  const when = (fields: string) => {
    const { match } = route(`{"http":{"domain":"app.example.com",${fields}},"service":"web"}`);
    return match.kind === "http" ? match : undefined;
  };

  test.for<readonly [string, unknown]>([
    [`"path":"/a/"`, { exactPath: "/a/", pathPrefix: "/" }],
    [`"methods":["POST","GET"]`, { when: { methods: ["GET", "POST"], headers: [], query: [] } }],
    [
      `"headers":[{"name":"X-Canary","exact":"1"},{"name":"b","prefix":"c"}],"query":[]`,
      {
        when: {
          methods: [],
          headers: [
            { name: "b", op: "prefix", value: "c" },
            { name: "x-canary", op: "exact", value: "1" },
          ],
          query: [],
        },
      },
    ],
    [
      `"query":[{"name":"a"},{"name":"b","present":true},{"name":"c","present":false}]`,
      {
        when: {
          methods: [],
          headers: [],
          query: [
            { name: "a", op: "present", value: "" },
            { name: "b", op: "present", value: "" },
            { name: "c", op: "absent", value: "" },
          ],
        },
      },
    ],
  ])("matches %s", ([fields, parts]) => {
    expect(when(fields)).toMatchObject({
      kind: "http",
      domain: "app.example.com",
      ...(parts as object),
    });
  });

  test.for<readonly [string, unknown]>([
    [
      `"redirect":{"scheme":"https","path_prefix":"/new","port":"8443"}`,
      { redirect: { scheme: "https", port: 8443, pathPrefix: "/new", status: 307 } },
    ],
    [`"rewrite":{"pathPrefix":"/"}`, { rewrite: { pathPrefix: "/" } }],
    [`"mirror":{"service":"shadow"}`, { mirror: { service: "shadow", percent: 100 } }],
    [`"access":{"deny":["10.0.0.0/8"]}`, { access: { allow: [], deny: ["10.0.0.0/8"] } }],
    [
      `"rateLimit":{"requests":5}`,
      { rateLimit: { requests: 5, perMs: 1_000, burst: 5, key: "route" } },
    ],
    [
      `"rate_limit":{"requests":"5","per":"1.5s","burst":7,"key":"KEY_CLIENT"}`,
      { rateLimit: { requests: 5, perMs: 1_500, burst: 7, key: "client" } },
    ],
    [
      `"rateLimit":{"requests":5,"key":1}`,
      { rateLimit: { requests: 5, perMs: 1_000, burst: 5, key: "client" } },
    ],
    [
      `"pages":[{"status":503,"content_type":"text/plain","body":"later"}]`,
      { pages: [{ status: 503, contentType: "text/plain", body: "later" }] },
    ],
    [`"split":[],"pages":[]`, undefined],
  ])("has %s", ([fields, read]) => {
    expect(options(fields)).toEqual(read);
  });

  test("needs no service with a split, a redirect or an answer", () => {
    const split = `{${http},"split":[{"service":"web","weight":9},{"service":"next","weight":1}]}`;
    expect(route(split)).toMatchObject({
      service: undefined,
      options: { split: [{ service: "next" }, { weight: 9 }] },
    });
    expect(route(`{${http},"answer":{"status":503,"headers":{"Retry-After":"60"}}}`)).toMatchObject(
      {
        service: undefined,
        options: { answer: { status: 503, headers: { "Retry-After": "60" } } },
      },
    );
  });
});

test("the examples of docs/ETCD.md are read, and come back with every default", () => {
  const document = readFileSync(new URL("../../docs/ETCD.md", import.meta.url), "utf8");
  const all = [...document.matchAll(/```json\n(.*?)```/gs)].map((match) => match[1] ?? "");
  const isRoute = (example: string): boolean =>
    /^ {2}"(?:http|tcp)": /m.test(example.split("\n")[1] ?? "");
  const examples = all.filter(isRoute);
  expect(examples).toHaveLength(2);
  for (const example of examples) {
    const read = route(example);
    expect(JSON.parse(encodeRoute({ ...read, matchRevision: revisionZero }))).toMatchObject(
      JSON.parse(example),
    );
  }
  const [large] = examples;
  expect(Object.keys(route(large ?? "").options ?? {})).toHaveLength(9);
  const services = all.filter((example) => !isRoute(example));
  expect(services).toHaveLength(1);
  const place = { kind: "service", name: parseServiceName("web") } as const;
  for (const example of services) {
    const read = decodeService(example, place);
    expect(JSON.parse(encodeService(read))).toEqual(JSON.parse(example));
    expect(Object.keys(read.options ?? {})).toHaveLength(7);
  }
});

describe("what is refused", () => {
  const ok = `${http},"service":"web"`;

  test.for<readonly [text: string, reason: RegExp]>([
    [`{${ok},"split":[{"service":"a","weight":1}]}`, /^split: stands in place of service/],
    [`{${http},"split":{"service":"a"}}`, /^split: an object stands where a list/],
    [`{${http},"split":["a"]}`, /^split\[0\]: a stands where an object/],
    [`{${http},"split":[{"service":"a","wieght":1}]}`, /^split\[0\]\.wieght: is not a field/],
    [`{${http},"split":[{"service":"a","weight":1001}]}`, /^split\[0\]\.weight: 1001 is not/],
    [`{${http},"split":[${"{},".repeat(1000)}{}]}`, /^split: has 1001 entries, far too many/],
    [`{${http},"redirect":{}}`, /^redirect: changes nothing/],
    [`{${http},"redirect":null}`, /^redirect: null stands/],
    [`{${ok},"answer":{}}`, /^answer: stands in place of service/],
    [`{${http},"answer":{"status":"ok"}}`, /^answer\.status: ok stands/],
    [`{${http},"answer":{"headers":{"a":1}}}`, /^answer\.headers\.a: 1 stands/],
    [`{${http},"answer":{"body":"\\ud800"}}`, /^answer\.body: holds half a surrogate/],
    [`{${ok},"rateLimit":{"requests":1,"per":1}}`, /^rateLimit\.per: 1 stands/],
    [`{${ok},"rateLimit":{"requests":1,"per":"0s"}}`, /^rateLimit\.per: "0s" is not a time/],
    [`{${ok},"rateLimit":{"requests":1,"per":"2h"}}`, /^rateLimit\.per: "2h" is not a time/],
    [`{${ok},"rateLimit":{"requests":1,"key":"KEY_X"}}`, /^rateLimit\.key: "KEY_X" is not a key/],
    [`{${ok},"rateLimit":{"requests":0}}`, /^rate_limit\.requests: 0 is not/],
    [`{${ok},"access":{"allow":"::1"}}`, /^access\.allow: ::1 stands where a list|"::1" stands/],
    [`{${ok},"access":{"allow":["x"],"deny":["y"]}}`, /^access\.allow\[0\]: .* \(and 1 more\)$/],
    [`{${ok},"mirror":{"service":"a","percent":1,"sample":2}}`, /^mirror\.sample: is not a field/],
    ['{"tcp":{"port":80},"service":"a","mirror":{"service":"b"}}', /^mirror: is for HTTP routes/],
    [
      '{"http":{"domain":"x","path":"/a","path_prefix":"/"},"service":"a"}',
      /^http\.pathPrefix: and path/,
    ],
    ['{"http":{"domain":"x","methods":"GET"},"service":"a"}', /^http\.methods: GET stands/],
    [
      '{"http":{"domain":"x","methods":["get"]},"service":"a"}',
      /^http\.methods\[0\]: methods have/,
    ],
    [
      '{"http":{"domain":"x","headers":[{"name":"a","exact":"1","present":true}]},"service":"a"}',
      /^http\.headers\[0\]\.name: has more than one of exact, prefix and present/,
    ],
    [
      '{"http":{"domain":"x","headers":[{"name":"a","regex":"(a+)+$"}]},"service":"a"}',
      /^http\.headers\[0\]\.regex: is not a field/,
    ],
    [
      '{"http":{"domain":"x","query":[{"name":"a","present":"yes"}]},"service":"a"}',
      /^http\.query\[0\]\.present: yes stands/,
    ],
  ])("%.90s", ([text, reason]) => {
    expect(reasonOf(() => route(text))).toMatch(reason);
  });

  test("nothing takes longer than in proportion to its length", () => {
    const million = 1024 * 1024;
    const texts = [
      `{${ok},"access":{"allow":["${"1".repeat(million)}"]}}`,
      `{${ok},"access":{"allow":[${'"x",'.repeat(200_000)}"x"]}}`,
      `{"http":{"domain":"x","methods":[${'"G",'.repeat(200_000)}"G"]},"service":"web"}`,
      `{"http":{"domain":"x","headers":[{"name":"${"x".repeat(million)}"}]},"service":"web"}`,
      `{${http},"answer":{"body":"${"x".repeat(million)}"}}`,
    ];
    for (const text of texts) {
      const startMs = performance.now();
      expect(reasonOf(() => route(text)).length, text.slice(0, 80)).toBeLessThan(400);
      // Some 100 ms for the worst of them; what is quadratic takes minutes.
      expect(performance.now() - startMs, text.slice(0, 80)).toBeLessThan(4_000);
    }
  });
});

describe("what the store writes", () => {
  const labels = fc.dictionary(
    fc.stringMatching(/^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,20}[A-Za-z0-9])?$/),
    fc.string({ unit: "grapheme", maxLength: 20 }),
    { noNullPrototype: true, maxKeys: 5 },
  );

  test("is read as it was: routes", () => {
    const arbitrary = fc.record({
      labels,
      target: anyTarget,
      createTimeMs: fc.nat(4e12),
      updateTimeMs: fc.nat(4e12),
      since: fc.integer({ min: 1, max: 40 }),
    });
    fc.assert(
      fc.property(arbitrary, ({ since, target, ...parts }) => {
        const matchRevision = parseRevision(since);
        const written = routeNamed("web", {
          ...parts,
          ...target,
          revision: facts.revision,
          matchRevision,
        });
        expect(route(encodeRoute(written))).toStrictEqual(written);
        // What the API answers can be put as it is.
        const answered = messageToJson("Route", proto.Route, renderRoute(written));
        const { matchRevision: _, ...others } = written;
        expect(route(JSON.stringify(answered))).toMatchObject(others);
      }),
      { numRuns: 300 },
    );
  });

  test("is far below what etcd takes, however large the route is", () => {
    const largest = parseOptions(
      {
        ...noWish,
        pages: [400, 401, 402, 403].map((status) => ({
          status,
          contentType: `a/b${" ".repeat(200)}`,
          body: "\u0001".repeat(16 * 1024),
        })),
        access: {
          allow: Array.from(
            { length: 256 },
            (_, i) => `2001:db8:1111:2222:3333:4444:5555:${i}/128`,
          ),
          deny: Array.from({ length: 256 }, (_, i) => `2001:db8:1111:2222:3333:4444:6666:${i}/128`),
        },
      },
      "",
    );
    const values = (value: string) =>
      Array.from({ length: 16 }, (_, i) => ({
        name: `${i}`.padEnd(256, "x"),
        op: "exact" as const,
        value: value.repeat(1024),
      }));
    const conditions = parseConditions(
      { methods: [], headers: values('"'), query: values("'") },
      "",
    );
    const written = routeNamed("web", {
      match: { ...byHttp, ...(conditions === undefined ? {} : { when: conditions }) },
      ...(largest === undefined ? {} : { options: largest }),
    });
    const text = encodeRoute(written);
    expect(text.length).toBeGreaterThan(500 * 1024);
    expect(Buffer.byteLength(text)).toBeLessThan(etcdValueBytesMax * 0.7);
    // As text inside a part of a large write as well.
    expect(Buffer.byteLength(JSON.stringify(text))).toBeLessThan(etcdValueBytesMax);
    expect(route(text).options).toEqual(largest);
  });
});

function reasonOf(decode: () => unknown): string {
  try {
    decode();
  } catch (thrown) {
    if (thrown instanceof RouterError && thrown.code === "invalid-argument") return thrown.message;
    throw thrown;
  }
  throw new Error("it was read");
}
