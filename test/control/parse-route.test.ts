// Goal: every field of a Route is read, checked and answered: what is rendered means the same when it is sent again,
// and what is wrong is named by its proto path, all of it at once.
// Method: random routes there and back, also through the bytes of the wire; tables of what is wrong.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { messageFromJson, messageToShortJson } from "../../src/cli/proto-json.ts";
import { parseRoute } from "../../src/control/parse-route.ts";
import { renderRoute } from "../../src/control/render-route.ts";
import * as proto from "../../src/gen/crosspoint/v1/router.ts";
import { RouterError } from "../../src/model/errors.ts";
import { routeNamed } from "../store/samples.ts";
import { anyTarget } from "../support/any-route.ts";

/** A message in proto3 JSON. */
type Wanted = Readonly<Record<string, unknown>>;

const draftOf = (message: proto.Route) => {
  const draft = parseRoute(message, "put", "route");
  if (draft.kind !== "put-route") throw new Error(draft.kind);
  return draft.route;
};
const parse = (message: Wanted) => draftOf(messageFromJson("Route", proto.Route, message));
const http = (fields: Wanted = {}): Wanted => ({ http: { domain: "a.example.com", ...fields } });
const web = (fields: Wanted = {}): Wanted => ({ ...http(), service: "web", ...fields });
const tcp: Wanted = { tcp: { port: 80 } };

test("a route that is answered and sent again is the same route", () => {
  fc.assert(
    fc.property(anyTarget, (target) => {
      const route = routeNamed("web", { ...target, labels: { a: "b" } });
      const sent = proto.Route.encode(renderRoute(route)).finish();
      const { name, match, service, sticky, labels, options } = draftOf(proto.Route.decode(sent));
      const { revision, matchRevision, createTimeMs, updateTimeMs, ...settings } = route;
      expect({
        name,
        match,
        service,
        sticky,
        labels,
        ...(options === undefined ? {} : { options }),
      }).toStrictEqual(settings);
      expect([revision, matchRevision, createTimeMs, updateTimeMs]).toHaveLength(4);
    }),
    { numRuns: 500 },
  );
});

test.for<readonly [Wanted, Wanted]>([
  [web({ redirect: { scheme: "https" } }), { redirect: { scheme: "https", status: 307 } }],
  [
    { ...http(), answer: { body: "x" } },
    { answer: { status: 200, contentType: "text/plain; charset=utf-8", body: "x" } },
  ],
  [web({ mirror: { service: "m" } }), { mirror: { service: "m", percent: 100 } }],
  [web({ rateLimit: { requests: 7 } }), { rateLimit: { requests: 7, per: "1s", burst: 7 } }],
  [
    web({ rateLimit: { requests: 7, per: "2.5s", key: "KEY_CLIENT" } }),
    { rateLimit: { requests: 7, per: "2.500s", burst: 7, key: "KEY_CLIENT" } },
  ],
  [
    web({ pages: [{ status: 404 }] }),
    { pages: [{ status: 404, contentType: "text/html; charset=utf-8" }] },
  ],
  [
    { ...http({ headers: [{ name: "X-A" }], methods: ["GET", "GET"] }), service: "web" },
    {
      http: {
        domain: "a.example.com",
        pathPrefix: "/",
        headers: [{ name: "x-a", present: true }],
        methods: ["GET"],
      },
    },
  ],
  [
    { ...http({ path: "/a/", query: [{ name: "q", present: false }] }), service: "web" },
    {
      http: { domain: "a.example.com", path: "/a/", query: [{ name: "q", present: false }] },
    },
  ],
])("%j is filled in, and answered as %j", ([asked, answered]) => {
  const { match, service, sticky, options } = parse(asked);
  const route = routeNamed("web", {
    match,
    service,
    sticky,
    ...(options === undefined ? {} : { options }),
  });
  expect(messageToShortJson("Route", proto.Route, renderRoute(route))).toMatchObject(answered);
});

test.for<readonly [Wanted, readonly string[]]>([
  [http(), ["route.service"]],
  [tcp, ["route.service"]],
  [{ service: "web" }, ["route.match"]],
  [{ ...http({ path: "/a", pathPrefix: "/b" }), service: "web" }, ["route.http.path_prefix"]],
  [{ ...http({ path: "/a", pathPrefix: "/" }), service: "web" }, ["route.http.path_prefix"]],
  [{ ...http({ path: "a" }), service: "web" }, ["route.http.path"]],
  [
    {
      ...http({ domain: "", methods: ["get"], headers: [{ name: "Host" }], query: [{ name: "" }] }),
      service: "a b",
      name: "A",
    },
    [
      "route.name",
      "route.http.domain",
      "route.http.methods[0]",
      "route.http.headers[0].name",
      "route.http.query[0].name",
      "route.service",
    ],
  ],
  [web({ split: [{ service: "a", weight: 1 }] }), ["route.split"]],
  [
    web({ split: [{ service: "", weight: 2000 }] }),
    ["route.split[0].service", "route.split[0].weight", "route.split"],
  ],
  [web({ rateLimit: { requests: 1, per: "0s" } }), ["route.rate_limit.per"]],
  [web({ rateLimit: { requests: 1, per: "-1s" } }), ["route.rate_limit.per"]],
  [web({ rateLimit: { requests: 1, per: "0.999s" } }), ["route.rate_limit.per"]],
  [web({ rateLimit: { requests: 1, per: "3600.000000001s" } }), ["route.rate_limit.per"]],
  [
    web({ rateLimit: { requests: 1, per: "0s", key: 7 }, mirror: {} }),
    ["route.rate_limit.per", "route.rate_limit.key", "route.mirror.service"],
  ],
  [{ ...http(), sticky: true, answer: {} }, ["route.sticky"]],
  [
    { ...tcp, service: "web", sticky: true, pages: [{ status: 404 }], redirect: { host: "a" } },
    ["route.sticky", "route.redirect", "route.pages"],
  ],
  [web({ answer: { status: 99 } }), ["route.answer.status", "route.answer"]],
])("%j is wrong in %j", ([message, fields]) => {
  let thrown: unknown;
  try {
    parse(message);
  } catch (error) {
    thrown = error;
  }
  const { code, details } = RouterError.from(thrown);
  expect(code).toBe("invalid-argument");
  expect(details.violations?.map(({ field }) => field)).toEqual(fields);
});

test("a TCP route may split, keep out and limit", () => {
  const wanted = parse({
    ...tcp,
    split: [{ service: "web", weight: 1 }],
    access: { allow: ["::1"] },
    rateLimit: { requests: 1 },
  });
  expect(Object.keys(wanted.options ?? {})).toEqual(["split", "access", "rateLimit"]);
  expect(wanted.service).toBeUndefined();
});
