// Goal: an `apply` file says what it means or is refused with its line; formatting and parsing are
// each other's inverse for every table.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatApplyFile, parseApplyFile } from "../../src/cli/apply-file.ts";
import { renderRoute } from "../../src/control/render-route.ts";
import { renderService } from "../../src/control/render-service.ts";
import {
  HealthCheck,
  Policy,
  ProxyProtocol,
  Route,
  Service,
} from "../../src/gen/crosspoint/v1/router.ts";
import { RouterError } from "../../src/model/errors.ts";
import { routeNamed } from "../store/samples.ts";
import { anyTarget } from "../support/any-route.ts";
import { anyService } from "../support/any-service.ts";

const changesOf = (text: string) =>
  parseApplyFile(text, "f.yaml").changes.map(({ change }) => change);

describe("a route", () => {
  test.for([
    [
      "domain: a.example.com",
      { $case: "http", value: { domain: "a.example.com", pathPrefix: "" } },
    ],
    [
      "domain: a.example.com/x/y",
      { $case: "http", value: { domain: "a.example.com", pathPrefix: "/x/y" } },
    ],
    ["domain: '*'", { $case: "http", value: { domain: "*", pathPrefix: "" } }],
    [
      "http: {domain: a, pathPrefix: /x}",
      { $case: "http", value: { domain: "a", pathPrefix: "/x" } },
    ],
    [
      "http: {domain: a, path_prefix: /x}",
      { $case: "http", value: { domain: "a", pathPrefix: "/x" } },
    ],
    ["port: 80", { $case: "tcp", value: { port: 80 } }],
    ["tcp: {port: 80}", { $case: "tcp", value: { port: 80 } }],
    ["tcp: {}", { $case: "tcp", value: { port: 0 } }],
  ] as const)("with %s has that match", ([line, match]) => {
    const [change] = changesOf(`routes:\n- ${line}\n  service: web\n`);
    expect(change).toEqual({
      $case: "putRoute",
      value: Route.fromPartial({ match, service: "web" }),
    });
  });

  test("may carry what the node said of it; that counts for nothing", () => {
    const [change] = changesOf(
      "routes:\n- {domain: a, service: web, revision: '7', createTime: '2026-01-01T00:00:00Z'}\n",
    );
    expect(change?.value).toMatchObject({ revision: 0n, createTime: undefined });
  });
});

describe("a service", () => {
  test.for([
    ["policy: ring-hash", { policy: Policy.RING_HASH }],
    ["policy: POLICY_RANDOM", { policy: Policy.RANDOM }],
    ["proxyProtocol: v1", { proxyProtocol: ProxyProtocol.V1 }],
    ["proxy_protocol: v2", { proxyProtocol: ProxyProtocol.V2 }],
    ["proxyProtocol: PROXY_PROTOCOL_V2", { proxyProtocol: ProxyProtocol.V2 }],
    ["proxyProtocol: 1", { proxyProtocol: ProxyProtocol.V1 }],
    [
      "check: http:/healthz",
      { healthCheck: { probe: { $case: "http", value: { path: "/healthz" } } } },
    ],
    ["check: tcp", { healthCheck: { probe: { $case: "tcp", value: {} } } }],
    ["check: grpc:a.B", { healthCheck: { probe: { $case: "grpc", value: { service: "a.B" } } } }],
    [
      "healthCheck: {tcp: {}, interval: 1.5s}",
      { healthCheck: { interval: { seconds: 1n, nanos: 500_000_000 } } },
    ],
  ] as const)("with %s has that setting", ([line, settings]) => {
    const [change] = changesOf(`services:\n- name: web\n  ${line}\n`);
    expect(change).toMatchObject({ $case: "putService", value: { name: "web", ...settings } });
  });
});

test("a pause is not exported, and in a file it counts for nothing", () => {
  const service = Service.fromPartial({
    name: "web",
    slowStart: { seconds: 5n },
    pause: { queue: 7 },
  });
  const table = { routes: [], services: [service], revision: 3n };
  for (const as of ["yaml", "json"] as const) {
    expect(formatApplyFile(table, as)).not.toContain("pause");
  }
  const [change] = changesOf("services:\n- {name: web, slowStart: 5s, pause: {queue: 7}}\n");
  expect(change).toEqual({ $case: "putService", value: { ...service, pause: undefined } });
  const paused = [Service.fromPartial({ name: "web", pause: { queue: 7 } })];
  expect(formatApplyFile({ ...table, services: paused }, "yaml")).not.toContain("web");
});

test("services come first, wherever they stand, and each change knows its line", () => {
  const file = parseApplyFile(
    "routes:\n- domain: a\n  service: web\nservices:\n- name: web\n\n- name: shop\n",
    "f.yaml",
  );
  expect(file.changes.map(({ change }) => change?.$case)).toEqual([
    "putService",
    "putService",
    "putRoute",
  ]);
  expect([0, 1, 2].map((i) => file.placeOf(i))).toEqual(["f.yaml:5", "f.yaml:7", "f.yaml:2"]);
});

test.for([
  [
    "routes:\n- domain: a\n  servce: web",
    /^f\.yaml:3: routes\[0\]\.servce: is not known; did you mean "service"\?$/,
  ],
  ["routs: []", /^f\.yaml:1: routs: is not known; did you mean "routes"\?$/],
  [
    "routes:\n- service: web\n  http:\n    domain: a\n    pathPrefx: /x",
    /^f\.yaml:5: routes\[0\]\.http\.pathPrefx: .*"pathPrefix"/,
  ],
  [
    "services:\n- name: a\n  healthCheck:\n    http: {paht: /}",
    /^f\.yaml:4: services\[0\]\.healthCheck\.http\.paht: .*"path"/,
  ],
  [
    "routes:\n- service: web",
    /^f\.yaml:2: routes\[0\]: a route has one of domain, port, http and tcp; none is there/,
  ],
  ["routes:\n- service: web\n  domain: a\n  port: 1", /both domain and port are there/],
  ["routes:\n- service: web\n  port: 99999", /^f\.yaml:3: routes\[0\]\.port: .*not a port/],
  ["routes:\n- service: web\n  domain: 7", /^f\.yaml:3: routes\[0\]\.domain: 7 is not a text/],
  [
    "routes:\n- service: 7\n  domain: a",
    /^f\.yaml:2: routes\[0\]\.service: 7 is not a text: write it in quotes$/,
  ],
  [
    "routes:\n- service: a\n  domain: a\n  labels: {n: 1}",
    /^f\.yaml:4: .*labels\.n: 1 is not a text/,
  ],
  [
    "routes:\n- service: a\n  domain: a\n  rateLimit:\n    requests: 5\n    per: 1m",
    /^f\.yaml:6: routes\[0\]\.rateLimit\.per: "1m" is not a time that passes, such as "60s"/,
  ],
  [
    "routes:\n- service: a\n  domain: a\n  rate_limit:\n    requests: 5\n    key: client",
    /^f\.yaml:6: routes\[0\]\.rate_limit\.key: "client" is none of KEY_UNSPECIFIED, KEY_CLIENT$/,
  ],
  [
    "routes:\n- service: a\n  domain: a\n  pages:\n  - {status: 404, body: x}\n  - {status: 503, body: 5}",
    /^f\.yaml:6: routes\[0\]\.pages\[1\]\.body: 5 is not a text/,
  ],
  [
    "routes:\n- domain: a\n  split: [{service: a, weight: -1}]",
    /split\[0\]\.weight: -1 is not a number/,
  ],
  ["routes:\n- domain: a\n  service: a\n  sticky: very", /sticky: "very" is not true or false$/],
  [
    "routes:\n- service: a\n  http: {domain: a, headers: [{name: x, exact: a, prefix: b}]}",
    /^f\.yaml:3: routes\[0\]\.http\.headers\[0\]: .*oneof/,
  ],
  [
    "routes:\n- service: a\n  http: {domain: a, methods: [GET, 5]}",
    /methods\[1\]: 5 is not a text/,
  ],
  [
    "routes:\n- domain: a\n  service: web\n  methods: [GET]",
    /^f\.yaml:4: routes\[0\]\.methods: is not known here; it stands in http$/,
  ],
  [
    "routes:\n- domain: a\n  status: 503",
    /status: is not known here; it stands in redirect or answer$/,
  ],
  [
    "routes:\n- service: a\n  domain: a\n  labels: {__proto__: x}",
    /labels\.__proto__: cannot be a name here/,
  ],
  [
    "routes:\n- domain: a\n  answer: {headers: {__proto__: x}}",
    /^f\.yaml:3: routes\[0\]\.answer\.headers\.__proto__: cannot be a name here/,
  ],
  [
    "routes:\n- domain: a\n  split:\n  - service: web\n    weight: 9\n  - service: next\n    wieght: 1",
    /^f\.yaml:7: routes\[0\]\.split\[1\]\.wieght: is not known; did you mean "weight"\?$/,
  ],
  [
    "routes:\n- service: web\n  http:\n    domain: a\n    headers:\n    - {name: x, exakt: 1}",
    /^f\.yaml:6: routes\[0\]\.http\.headers\[0\]\.exakt: .*"exact"/,
  ],
  [
    "routes:\n- domain: a\n  service: web\n  rateLimit: {requests: 5, pre: 1s}",
    /^f\.yaml:4: routes\[0\]\.rateLimit\.pre: .*known are requests, per, burst, key$/,
  ],
  [
    "routes:\n- domain: a\n  split: {service: web}",
    /^f\.yaml:3: routes\[0\]\.split: is not a list/,
  ],
  ["routes:\n- domain: a\n  split: [web]", /^f\.yaml:3: routes\[0\]\.split\[0\]: is not a block/],
  ["routes:\n- domain: a\n  access: [10.0.0.1]", /^f\.yaml:3: routes\[0\]\.access: is not a block/],
  [
    "routes:\n- domain: a\n  rateLimit: {requests: 5, key: KEY_COOKIE}",
    /^f\.yaml:3: routes\[0\]\.rateLimit\.key: "KEY_COOKIE" is none of KEY_UNSPECIFIED, /,
  ],
  [
    "routes:\n- domain: a\n  rateLimit: {requests: 5, per: soon}",
    /^f\.yaml:3: routes\[0\]\.rateLimit\.per: "soon" is not a time that passes/,
  ],
  ["routes:\n- web", /^f\.yaml:2: routes\[0\]: is not a block/],
  ["routes: web", /^f\.yaml:1: routes: is not a list/],
  ["- web", /^f\.yaml:1: is not a block/],
  ["services:\n- name: a\n  policy: best", /^f\.yaml:3: services\[0\]\.policy: "best" is none of /],
  ["services:\n- name: a\n  policy: toString", /"toString"/],
  [
    "services:\n- name: a\n  proxyProtocol: v3",
    /^f\.yaml:3: services\[0\]\.proxyProtocol: "v3" is none of /,
  ],
  ["services:\n- name: a\n  check: http", /^f\.yaml:3: services\[0\]\.check: .*is not http:\/PATH/],
  ["services:\n- name: a\n  check: tcp\n  healthCheck: {}", /^f\.yaml:3: .*keep one/],
  ["routes: [\n", /^f\.yaml:\d: /],
  ["a: &a [1]\nroutes: *b", /^f\.yaml: ?.*b/],
  ['{"routes": [{"domain": "a",\n "servce": "web"}]}', /^f\.yaml:2: routes\[0\]\.servce/],
] as const)("%j is refused with its line", ([text, message]) => {
  let told: unknown;
  try {
    parseApplyFile(text, "f.yaml");
  } catch (error) {
    told = error;
  }
  expect(told).toBeInstanceOf(RouterError);
  expect((told as RouterError).code).toBe("invalid-argument");
  expect((told as RouterError).message).toMatch(message);
});

// Text that YAML reads as something else unless it is quoted.
const tricky = fc.constantFrom(
  "yes",
  "null",
  "1.10",
  "0x1f",
  "~",
  "- a",
  "a: b",
  "#x",
  "'",
  '"',
  "@a",
  " a ",
  "1:30",
);
const text = fc.oneof(tricky, fc.string({ maxLength: 12, unit: "grapheme" }));
const labels = fc
  .dictionary(text, text, { maxKeys: 3 })
  .map((entries) =>
    Object.fromEntries(Object.entries(entries).filter(([key]) => key !== "__proto__")),
  );
const domain = fc.stringMatching(/^[a-z*][a-z0-9.-]{0,20}$/);
const route = fc
  .record({
    name: text,
    service: text,
    sticky: fc.boolean(),
    labels,
    match: fc.oneof(
      fc.record({
        $case: fc.constant("tcp" as const),
        value: fc.record({ port: fc.integer({ min: 1, max: 65_535 }) }),
      }),
      fc.record({
        $case: fc.constant("http" as const),
        value: fc.record({ domain, pathPrefix: fc.stringMatching(/^(\/[!-~]{1,20})?$/) }),
      }),
    ),
  })
  .map((fields) => Route.fromPartial(fields));
/** Anything that there is, as a node answers it. */
const wholeRoute = anyTarget.map((target) => ({
  ...renderRoute(routeNamed("web", target)),
  revision: 0n,
  createTime: undefined,
  updateTime: undefined,
}));
const duration = fc.record({
  seconds: fc.bigInt({ min: 0n, max: 1_000n }),
  nanos: fc.integer({ min: 0, max: 999_999_999 }),
});
const service = fc
  .record({
    name: text,
    settings: anyService({ paused: false }),
    healthCheck: fc.option(
      fc
        .record({ interval: duration, healthyThreshold: fc.nat(100) })
        .map((check) => HealthCheck.fromPartial(check)),
      { nil: undefined },
    ),
  })
  .map(({ name, settings, healthCheck }) =>
    // What came over the wire has every field.
    Service.decode(
      Service.encode({
        ...renderService(settings),
        name,
        ...(healthCheck === undefined ? {} : { healthCheck }),
      }).finish(),
    ),
  )
  // Without settings there is nothing to put.
  .filter((settings) => Service.encode({ ...settings, name: "" }).finish().length > 0);

/** The short form leaves out the prefix that every path has. */
function withoutSlash(written: Route): Route {
  const { match } = written;
  if (match?.$case !== "http" || match.value.pathPrefix !== "/") return written;
  return { ...written, match: { ...match, value: { ...match.value, pathPrefix: "" } } };
}

// Long on a machine that is busy with other tests.
const timeout = 60_000;
test.for(["yaml", "json"] as const)(
  "what is formatted as %s is parsed as the same",
  { timeout },
  (as) => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(route, wholeRoute), { maxLength: 4 }),
        fc.array(service, { maxLength: 3 }),
        (routes, services) => {
          const printed = formatApplyFile({ routes, services, revision: 3n }, as);
          const changes = changesOf(printed);
          expect(changes).toEqual([
            ...services.map((value) => ({ $case: "putService", value })),
            ...routes.map((value) => ({
              $case: "putRoute",
              value: as === "yaml" ? withoutSlash(value) : value,
            })),
          ]);
        },
      ),
      { numRuns: 300 },
    );
  },
);
