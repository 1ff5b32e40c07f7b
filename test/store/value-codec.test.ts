// Goal: whatever stands in a store, decoding it gives a value that is wholly valid, or an error that names the
// field; never a half-checked value, never a crash. What we encode ourselves comes back the same.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Change } from "../../src/model/change.ts";
import { RouterError } from "../../src/model/errors.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { Policy, ProxyProtocol } from "../../src/model/service.ts";
import {
  decodeBackend,
  decodeChange,
  decodeRoute,
  decodeService,
  encodeValue,
} from "../../src/store/value-codec.ts";
import { anyTarget } from "../support/any-route.ts";
import { anyService } from "../support/any-service.ts";
import { backendAt, putBackend, putRoute, removeRoute, routeNamed } from "./samples.ts";

const web = parseServiceName("web");
const { service, address } = backendAt("[2001:db8::7]:80");

const changes: readonly Change[] = [
  putRoute("a", { sticky: true, labels: { owner: "Zoë\u0000\u2028", "a/b": "" } }),
  putRoute("b", { match: { kind: "tcp", port: 65_535 } }),
  removeRoute("a"),
  { kind: "service-put", service: { name: web, policy: undefined } },
  { kind: "service-put", service: { name: web, policy: Policy.Random } },
  {
    kind: "service-put",
    service: { name: web, policy: undefined, proxyProtocol: ProxyProtocol.V2 },
  },
  { kind: "service-removed", name: web },
  putBackend("10.0.0.1:80", { weight: 1000, ttlMs: 1500 }),
  putBackend("db.internal:5432"),
  putBackend("10.0.0.1:80", { joined: parseRevision(0) }),
  putBackend("10.0.0.1:80", {
    joined: parseRevision(7),
    drain: { state: "drained", deadlineMs: 1_790_000_000_000, cut: 3 },
  }),
  { kind: "backend-removed", service, address },
];

test.for(changes)("$kind comes back as it was", (change) => {
  expect(decodeChange(encodeValue(change))).toStrictEqual(change);
});

test("a route comes back as it was, whatever is in it", () => {
  fc.assert(
    fc.property(anyTarget, (target) => {
      const written = putRoute("a", target);
      expect(decodeChange(encodeValue(written))).toStrictEqual(written);
    }),
    { numRuns: 300 },
  );
});

test("a service comes back as it was, whatever is in it", () => {
  fc.assert(
    fc.property(anyService({ paused: true }), (settings) => {
      const written: Change = { kind: "service-put", service: settings };
      expect(decodeChange(encodeValue(written))).toStrictEqual(written);
      expect(decodeService(encodeValue(settings))).toStrictEqual(settings);
    }),
    { numRuns: 300 },
  );
});

test("a service and a backend of a version that knew of no options", () => {
  expect(decodeService('{"name":"web","policy":"random"}')).toStrictEqual({
    name: "web",
    policy: "random",
  });
  const text = '{"service":"web","address":"10.0.0.1:80","weight":100,"labels":{},"ttlMs":1500}';
  expect(decodeBackend(text)).toStrictEqual(backendAt("10.0.0.1:80", { ttlMs: 1500 }));
});

test("a route of a version that knew neither options nor conditions", () => {
  const text =
    '{"name":"a","match":{"kind":"http","domain":"a.example.com","pathPrefix":"/"},"service":"web",' +
    '"sticky":false,"labels":{},"revision":7,"createTimeMs":1790000000000,"updateTimeMs":1790000000000}';
  const { revision } = decodeRoute(text);
  expect(revision).toBe(7);
  expect(decodeRoute(text)).toStrictEqual(routeNamed("a", { revision, matchRevision: revision }));
});

test("a field that this version does not know is ignored", () => {
  const text = JSON.stringify({
    ...routeNamed("a"),
    colour: "red",
    match: { ...routeNamed("a").match, tls: true },
  });
  expect(decodeRoute(text)).toStrictEqual(routeNamed("a"));
});

function routeWith(parts: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ ...routeNamed("a"), ...parts });
}

function backendWith(parts: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ ...backendAt("10.0.0.1:80"), ...parts });
}

const httpMatch = { kind: "http", domain: "a.example.com", pathPrefix: "/" };

describe("what is refused", () => {
  const routes: readonly (readonly [string, string, RegExp])[] = [
    ["nothing", "", /JSON/],
    ["no JSON", "{name:", /JSON/],
    ["null", "null", /not a JSON object/],
    ["a list", "[]", /not a JSON object/],
    ["a number", "7", /not a JSON object/],
    ["an empty object", "{}", /name: is not a text/],
    ["a name of the wrong type", routeWith({ name: 7 }), /name: is not a text/],
    ["a name with NUL", routeWith({ name: "a\u0000" }), /not a route name/],
    ["no match", routeWith({ match: null }), /match: is not a JSON object/],
    [
      "another kind of match",
      routeWith({ match: { kind: "udp", port: 1 } }),
      /"udp" is not http or tcp/,
    ],
    ["port 0", routeWith({ match: { kind: "tcp", port: 0 } }), /0 is not a port/],
    ["a port as text", routeWith({ match: { kind: "tcp", port: "80" } }), /port: is not a number/],
    ["a domain with NUL", routeWith({ match: { ...httpMatch, domain: "a\u0000.com" } }), /domain/],
    [
      "a huge domain",
      routeWith({ match: { ...httpMatch, domain: "a.".repeat(700_000) } }),
      /domain/,
    ],
    [
      "a regex bomb of a path",
      routeWith({ match: { ...httpMatch, pathPrefix: `/${"(a+)+".repeat(50_000)}` } }),
      /path/,
    ],
    ["no service", routeWith({ service: "" }), /service: is required/],
    ["stickiness as text", routeWith({ sticky: "yes" }), /sticky: is not true or false/],
    ["labels as a list", routeWith({ labels: ["a"] }), /labels: is not a JSON object/],
    ["a label that is a number", routeWith({ labels: { a: 1 } }), /a: is not a text/],
    [
      "a label named __proto__",
      routeWith({}).replace('"labels":{}', '"labels":{"__proto__":"x"}'),
      /labels/,
    ],
    ["a negative revision", routeWith({ revision: -1 }), /not a revision/],
    ["a time as text", routeWith({ createTimeMs: "now" }), /createTimeMs: is not a number/],
  ];
  const condition = { name: "x", op: "exact", value: "1" };
  const when = { methods: [], headers: [condition], query: [] };
  const page = { status: 404, contentType: "a/b", body: "" };
  const rateLimit = { requests: 1, perMs: 1000, burst: 1, key: "route" };
  const matchWith = (parts: object): string => routeWith({ match: { ...httpMatch, ...parts } });
  const optionsWith = (options: unknown): string => routeWith({ options });
  const damaged: readonly (readonly [string, string, RegExp])[] = [
    ["an exact path of a number", matchWith({ exactPath: 7 }), /^match\.exactPath: is not a text/],
    ["an exact path that is none", matchWith({ exactPath: "a" }), /^exactPath: "a" is not a path/],
    ["conditions that are a list", matchWith({ when: [] }), /^match\.when: is not a JSON object/],
    [
      "no methods",
      matchWith({ when: { ...when, methods: 1 } }),
      /^match\.when\.methods: is not a list/,
    ],
    [
      "a method that is none",
      matchWith({ when: { ...when, methods: ["GET", "G T"] } }),
      /^match\.when\.methods\[1\]: "G T" is not a method/,
    ],
    [
      "a condition of another kind",
      matchWith({ when: { ...when, headers: [{ ...condition, op: "regex" }] } }),
      /^match\.when\.headers\[0\]\.op: "regex" is none of/,
    ],
    [
      "a condition without a value",
      matchWith({ when: { ...when, query: [{ name: "x", op: "exact" }] } }),
      /^match\.when\.query\[0\]\.value: is not a text/,
    ],
    ["options that are a text", optionsWith("x"), /^options: is not a JSON object/],
    ["a split that is an object", optionsWith({ split: {} }), /^options\.split: is not a list/],
    [
      "a share that is a text",
      optionsWith({ split: ["a"] }),
      /^options\.split\[0\]: is not a JSON/,
    ],
    [
      "a share of no weight",
      optionsWith({ split: [{ service: "a" }] }),
      /^options\.split\[0\]\.weight: is not a number/,
    ],
    [
      "a redirect of another status",
      optionsWith({ redirect: { host: "a", status: 300 } }),
      /^options\.redirect\.status: 300 is none of/,
    ],
    ["an answer beside a service", optionsWith({ answer: { ...page, headers: {} } }), /^answer: /],
    [
      "an answer without fields",
      optionsWith({ answer: page }),
      /^options\.answer\.headers: is not a JSON object/,
    ],
    ["a rewrite of nothing", optionsWith({ rewrite: {} }), /^options\.rewrite: changes nothing/],
    [
      "a mirror of text",
      optionsWith({ mirror: { service: "a", percent: "5" } }),
      /^options\.mirror\.percent: is not a number/,
    ],
    [
      "a range of number",
      optionsWith({ access: { allow: [1], deny: [] } }),
      /^options\.access\.allow\[0\]: is not a text/,
    ],
    [
      "a rate by cookie",
      optionsWith({ rateLimit: { ...rateLimit, key: "cookie" } }),
      /^options\.rateLimit\.key: "cookie" is none of/,
    ],
    [
      "a rate of half a request",
      optionsWith({ rateLimit: { ...rateLimit, requests: 0.5 } }),
      /^options\.rate_limit\.requests: 0\.5/,
    ],
    [
      "a page of 200",
      optionsWith({ pages: [{ ...page, status: 200 }] }),
      /^options\.pages\[0\]\.status/,
    ],
    ["nobody who answers", routeWith({ service: undefined }), /^service: is required/],
  ];
  test.for([...routes, ...damaged])("a route that is or has %s", ([, text, says]) => {
    expect(() => decodeRoute(text)).toThrow(says);
  });

  const backends: readonly (readonly [string, string, RegExp])[] = [
    ["no address", backendWith({ address: undefined }), /address: is not a text/],
    ["port 0", backendWith({ address: "10.0.0.1:0" }), /0 is not a port/],
    ["weight 0", backendWith({ weight: 0 }), /weight: 0 is not within 1 to 1000/],
    ["weight 1.5", backendWith({ weight: 1.5 }), /weight: 1.5/],
    ["weight 1001", backendWith({ weight: 1001 }), /weight: 1001/],
    ["TTL 0", backendWith({ ttlMs: 0 }), /ttlMs: 0 is not positive/],
    ["a revision of its joining that is none", backendWith({ joined: -1 }), /not a revision/],
    ["a drain in no state", backendWith({ drain: { deadlineMs: 1 } }), /drain\.state: is not a/],
    ["another drain", backendWith({ drain: { state: "gone" } }), /"gone" is none of draining/],
    ["a TTL as text", backendWith({ ttlMs: "10s" }), /ttlMs: is not a number/],
  ];
  test.for(backends)("a backend with %s", ([, text, says]) => {
    expect(() => decodeBackend(text)).toThrow(says);
  });

  test.for<readonly [unknown, RegExp]>([
    [{ healthCheck: {} }, /options\.healthCheck\.probe: is not a JSON object/],
    [{ healthCheck: { probe: { kind: "icmp" } } }, /probe\.kind: "icmp" is none of http, tcp/],
    [{ healthCheck: { probe: { kind: "http", path: "a" } } }, /health_check\.http\.path: "a" is/],
    [{ hashKey: { kind: "cookie" } }, /options\.hash_key\.cookie: "" is not the name/],
    [{ limits: { requests: "many" } }, /options\.limits\.requests: is not a number/],
    [{ limits: { requests: 1.5 } }, /options\.limits\.requests: 1\.5 is not within/],
    [{ slowStartMs: 1 }, /options\.slow_start: 1 ms is not within 1 s to 1 h/],
    [{ ejection: { off: 1 } }, /options\.ejection\.off: is not true or false/],
    [{ pause: { queue: 1, queueMs: 1, sinceMs: 1 } }, /options\.pause\.queue_time: 1 ms is not/],
  ])("a service with %j", ([options, says]) => {
    expect(() => decodeService(JSON.stringify({ name: "web", options }))).toThrow(says);
  });

  test("a policy that this version does not know, and a change that it does not know", () => {
    expect(() => decodeService(`{"name":"web","policy":"slowest"}`)).toThrow(/"slowest"/);
    expect(() => decodeService(`{"name":"web","proxyProtocol":"v3"}`)).toThrow(
      /proxyProtocol: "v3" is not one/,
    );
    expect(() => decodeChange(`{"kind":"route-renamed"}`)).toThrow(/"route-renamed"/);
  });

  test("with an error that names the field, for a program", () => {
    try {
      decodeBackend(backendWith({ weight: 0 }));
      expect.unreachable();
    } catch (thrown) {
      expect(RouterError.from(thrown)).toMatchObject({
        code: "invalid-argument",
        details: { violations: [{ field: "weight" }] },
      });
    }
  });
});
