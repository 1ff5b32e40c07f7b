// Goal: whatever stands in a store, decoding it gives a value that is wholly valid, or an error that names the
// field; never a half-checked value, never a crash. What we encode ourselves comes back the same.

import { describe, expect, test } from "vitest";
import type { Change } from "../../src/model/change.ts";
import { RouterError } from "../../src/model/errors.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { Policy, ProxyProtocol } from "../../src/model/service.ts";
import {
  decodeBackend,
  decodeChange,
  decodeRoute,
  decodeService,
  encodeValue,
} from "../../src/store/value-codec.ts";
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
  { kind: "backend-removed", service, address },
];

test.for(changes)("$kind comes back as it was", (change) => {
  expect(decodeChange(encodeValue(change))).toStrictEqual(change);
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
  test.for(routes)("a route that is or has %s", ([, text, says]) => {
    expect(() => decodeRoute(text)).toThrow(says);
  });

  const backends: readonly (readonly [string, string, RegExp])[] = [
    ["no address", backendWith({ address: undefined }), /address: is not a text/],
    ["port 0", backendWith({ address: "10.0.0.1:0" }), /0 is not a port/],
    ["weight 0", backendWith({ weight: 0 }), /weight: 0 is not within 1 to 1000/],
    ["weight 1.5", backendWith({ weight: 1.5 }), /weight: 1.5/],
    ["weight 1001", backendWith({ weight: 1001 }), /weight: 1001/],
    ["TTL 0", backendWith({ ttlMs: 0 }), /ttlMs: 0 is not positive/],
    ["a TTL as text", backendWith({ ttlMs: "10s" }), /ttlMs: is not a number/],
  ];
  test.for(backends)("a backend with %s", ([, text, says]) => {
    expect(() => decodeBackend(text)).toThrow(says);
  });

  test("a policy that this version does not know, and a change that it does not know", () => {
    expect(() => decodeService(`{"name":"web","policy":"peak-ewma"}`)).toThrow(/"peak-ewma"/);
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
