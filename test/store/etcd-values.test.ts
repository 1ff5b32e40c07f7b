// Goal: what a hand writes is understood, what the store writes comes back, and what is wrong is refused with a short
// reason that names the field, whatever it is.
// Method: tables of values; random entries there and back; large and deep values against the clock.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseAddress } from "../../src/model/address.ts";
import { RouterError } from "../../src/model/errors.ts";
import { parseRouteName, parseServiceName } from "../../src/model/names.ts";
import { parseRevision, revisionZero } from "../../src/model/revision.ts";
import type { Route } from "../../src/model/route.ts";
import { Policy, ProxyProtocol } from "../../src/model/service.ts";
import { decodeRoute, encodeRoute } from "../../src/store/etcd-route-values.ts";
import {
  decodeBackend,
  decodeService,
  encodeBackend,
  encodeService,
} from "../../src/store/etcd-values.ts";
import { anyService } from "../support/any-service.ts";
import { backendAt, routeNamed } from "./samples.ts";

const facts = { revision: parseRevision(40), created: parseRevision(31), leased: false };
const route = (text: string): Route =>
  decodeRoute(text, { kind: "route", name: parseRouteName("web") }, facts);
const service = (text: string) =>
  decodeService(text, { kind: "service", name: parseServiceName("web") });
const place = {
  kind: "backend",
  service: parseServiceName("web"),
  address: parseAddress("10.0.0.7:8080"),
} as const;
const backend = (text: string, leased = false) => decodeBackend(text, place, { ...facts, leased });

/** A route by hand, as short as can be. */
const byHand = routeNamed("web", {
  match: routeNamed("app").match,
  revision: parseRevision(40),
  matchRevision: parseRevision(40),
  createTimeMs: 0,
  updateTimeMs: 0,
});
const http = '"http":{"domain":"app.example.com"}';

describe("a route by hand", () => {
  test("needs a match and a service", () => {
    expect(route(`{${http},"service":"web"}`)).toEqual(byHand);
  });

  test.for([
    ["says its name and revision as the API tells them", `"name":"web","revision":"17"`, {}],
    ["may have spaces and lines", "\n  ", {}],
    ["is sticky", `"sticky":true`, { sticky: true }],
    [
      "has labels",
      `"labels":{"a/b":"c","constructor":"d"}`,
      {
        labels: { "a/b": "c", constructor: "d" },
      },
    ],
    [
      "has times",
      `"createTime":"2026-01-02T03:04:05Z","update_time":"2026-01-02T04:04:05.5+01:00"`,
      {
        createTimeMs: Date.UTC(2026, 0, 2, 3, 4, 5),
        updateTimeMs: Date.UTC(2026, 0, 2, 3, 4, 5, 500),
      },
    ],
  ] as const)("%s", ([, fields, parts]) => {
    const more = fields.trim() === "" ? fields : `,${fields}`;
    expect(route(`{${http},"service":"web"${more}}`)).toEqual({ ...byHand, ...parts });
  });

  test.for([
    [`{"http":{"domain":"APP.example.com.","path_prefix":"/a/"},"service":"web"}`, "/a"],
    [`{"http":{"domain":"app.example.com","pathPrefix":"/a"},"service":"web"}`, "/a"],
    [`{"http":{"domain":"app.example.com","pathPrefix":""},"service":"web"}`, "/"],
  ] as const)("%s is read as it is meant", ([text, pathPrefix]) => {
    expect(route(text).match).toEqual({ ...byHand.match, pathPrefix });
  });

  test.for(["5432", '"5432"', "5432.0", "5.432e3"])("the port %s is 5432", (port) => {
    expect(route(`{"tcp":{"port":${port}},"service":"db"}`).match).toEqual({
      kind: "tcp",
      port: 5432,
    });
  });
});

describe("since when a route has its match", () => {
  const since = (match: string, revision: string): number =>
    route(`{${http},"service":"web","matchSince":{"match":"${match}","revision":${revision}}}`)
      .matchRevision;

  test("is what was written beside the same match", () => {
    expect(since("http app.example.com/", '"17"')).toBe(17);
    expect(since("http app.example.com/", "17")).toBe(17);
    expect(since("http app.example.com/", '"40"')).toBe(40);
  });

  test("is the entry's own revision in a copy with another match, or when it lies", () => {
    expect(since("http other.example.com/", '"17"')).toBe(40);
    expect(since("http app.example.com/", '"41"')).toBe(40);
    expect(since("http app.example.com/", '"0"')).toBe(40);
    expect(since("http app.example.com/", '"-5"')).toBe(40);
  });
});

describe("services and backends by hand", () => {
  test.for([
    ["{}", undefined],
    ['{"name":"web"}', undefined],
    ['{"policy":"POLICY_UNSPECIFIED"}', undefined],
    ['{"policy":"POLICY_ROUND_ROBIN"}', Policy.RoundRobin],
    ['{"policy":1}', Policy.Random],
    ['{"policy":3}', Policy.LeastLoaded],
  ] as const)("service %s", ([text, policy]) => {
    expect(service(text)).toEqual({ name: "web", policy });
  });

  test.for([
    ['{"proxyProtocol":"PROXY_PROTOCOL_UNSPECIFIED"}', {}],
    ['{"proxyProtocol":"PROXY_PROTOCOL_V1"}', { proxyProtocol: ProxyProtocol.V1 }],
    ['{"proxy_protocol":"PROXY_PROTOCOL_V2"}', { proxyProtocol: ProxyProtocol.V2 }],
    ['{"proxyProtocol":2}', { proxyProtocol: ProxyProtocol.V2 }],
  ] as const)("service %s", ([text, settings]) => {
    expect(service(text)).toStrictEqual({ name: "web", policy: undefined, ...settings });
  });

  test.for([
    ["{}", {}],
    ['{"service":"web","address":"10.0.0.7:8080"}', {}],
    ['{"weight":7}', { weight: 7 }],
    ['{"weight":"7"}', { weight: 7 }],
    ['{"weight":0}', {}],
    ['{"labels":{"zone":"b"}}', { labels: { zone: "b" } }],
    [
      '{"drain":{"state":"STATE_DRAINING","deadline":"2026-01-31T12:00:00Z"}}',
      { drain: { state: "draining", deadlineMs: Date.UTC(2026, 0, 31, 12) } },
    ],
    [
      '{"drain":{"state":2,"deadline":"2026-01-31T12:00:00Z","cut":3}}',
      { drain: { state: "drained", deadlineMs: Date.UTC(2026, 0, 31, 12), cut: 3 } },
    ],
  ] as const)("backend %s", ([text, parts]) => {
    expect(backend(text)).toEqual(backendAt("10.0.0.7:8080", { joined: facts.created, ...parts }));
  });

  test.for([
    ["10s", 10_000],
    ["1.5s", 1_500],
    ["0.0000001s", 1],
    ["2.000000001s", 2_001],
  ] as const)("a TTL of %s counts where there is a lease", ([ttl, ttlMs]) => {
    expect(backend(`{"ttl":"${ttl}"}`, true).ttlMs).toBe(ttlMs);
    expect(backend(`{"ttl":"${ttl}"}`).ttlMs).toBeUndefined();
  });
});

describe("what is refused", () => {
  const ok = `${http},"service":"web"`;
  const deep = "[".repeat(500_000);

  test.for<readonly [text: string, reason: RegExp]>([
    ["", /^the value: is not JSON/],
    ["{", /^the value: is not JSON/],
    [`{${ok}} x`, /^the value: is not JSON/],
    [`\ufeff{${ok}}`, /^the value: is not JSON/],
    ["null", /^the value: null stands where an object/],
    ["[]", /^the value: a list stands/],
    ["42", /^the value: 42 stands/],
    ['"web"', /^the value: web stands/],
    [deep, /^the value: is not JSON/],
    [`${deep}${"]".repeat(500_000)}`, /^the value: a list stands/],
    [`{${ok},"labels":${'{"a":'.repeat(5000)}1${"}".repeat(5000)}}`, /^labels.a: an object stands/],
    ["{}", /^match: one of http and tcp is required/],
    [`{${http}}`, /^service: is required/],
    [`{${http},"service":""}`, /^service: is required/],
    [`{${http},"service":null}`, /^service: null stands where left out belongs/],
    [`{${http},"service":["web"]}`, /^service: a list stands where a text/],
    [`{${http},"service":"../../etc"}`, /^service: "\.\.\/\.\.\/etc" is not a service name/],
    [`{${ok},"tcp":{"port":80}}`, /^match: http and tcp are both there/],
    ['{"http":{},"service":"web"}', /^http\.domain: is required/],
    ['{"http":{"domian":"a.example.com"},"service":"web"}', /^http\.domian: is not a field/],
    ['{"tcp":{"prot":80},"service":"web"}', /^tcp\.prot: is not a field/],
    ['{"http":{"domain":7},"service":"web"}', /^http\.domain: 7 stands/],
    ['{"http":{"domain":"a\\u0000b"},"service":"web"}', /^http\.domain: .*not a DNS label/],
    ['{"http":{"domain":"x","regex":"(a+)+$"},"service":"web"}', /^http\.regex: is not a field/],
    ['{"http":{"domain":"x","pathPrefix":"a"},"service":"web"}', /^http\.pathPrefix: "a" is not/],
    ['{"http":"x","service":"web"}', /^http: x stands where an object/],
    ['{"tcp":{"port":0},"service":"web"}', /^tcp\.port: 0 is not a port/],
    ['{"tcp":{},"service":"web"}', /^tcp\.port: 0 is not a port/],
    ['{"tcp":{"port":65536},"service":"web"}', /^tcp\.port: 65536 is not a port/],
    ['{"tcp":{"port":-1},"service":"web"}', /^tcp\.port: -1 is not a port/],
    ['{"tcp":{"port":1.5},"service":"web"}', /^tcp\.port: 1\.5 stands where a whole number/],
    ['{"tcp":{"port":1e400},"service":"web"}', /^tcp\.port: Infinity stands/],
    ['{"tcp":{"port":"0x50"},"service":"web"}', /^tcp\.port: 0x50 stands/],
    ['{"tcp":{"port":true},"service":"web"}', /^tcp\.port: true stands/],
    ['{"tcp":{"port":80},"service":"web","sticky":true}', /^sticky: works with cookies/],
    [`{${ok},"sticky":"yes"}`, /^sticky: yes stands where true or false/],
    [`{${ok},"labels":[]}`, /^labels: a list stands/],
    [`{${ok},"labels":{"a":1}}`, /^labels\.a: 1 stands/],
    [`{${ok},"labels":{"a":"\\ud800"}}`, /^labels\.a: holds half a surrogate/],
    [`{${ok},"labels":{"__proto__":"x"}}`, /^labels: key "__proto__" is not/],
    [`{${ok},"name":"other"}`, /^name: "other" disagrees with the key, which says "web"/],
    [`{${ok},"revision":"many"}`, /^revision: many stands/],
    [`{${ok},"createTime":"yesterday"}`, /^createTime: "yesterday" is not a time/],
    [`{${ok},"createTime":"2026-13-01T00:00:00Z"}`, /^createTime: .* is not a time/],
    [`{${ok},"createTime":5}`, /^createTime: 5 stands/],
    [`{${ok},"future":{}}`, /^future: is not a field that this version knows/],
    [`{${ok},"__proto__":{"sticky":true}}`, /^__proto__: is not a field/],
    [`{${ok},"constructor":{"prototype":{}}}`, /^constructor: is not a field/],
    [`{${ok},"service":"other"}`, /^service: is written twice in one object/],
    [`{${ok},"\\u0073ervice":"other"}`, /^service: is written twice in one object/],
    ['{"http":{"domain":"x","domain":"x"},"service":"web"}', /^domain: is written twice/],
    [
      '{"http":{"domain":"x","pathPrefix":"/","path_prefix":"/"},"service":"w"}',
      /^http\.pathPrefix: is written twice, also as path_prefix/,
    ],
    [`{${ok},"matchSince":"17"}`, /^matchSince: 17 stands/],
    [`{${ok},"matchSince":{"match":"x","revision":"1","x":1}}`, /^matchSince\.x: is not a field/],
  ])("as a route: %.60s", ([text, reason]) => {
    expect(reasonOf(() => route(text))).toMatch(reason);
  });

  test.for<readonly [text: string, reason: RegExp]>([
    ['{"policy":"ROUND_ROBIN"}', /^policy: "ROUND_ROBIN" is not a policy that this version knows/],
    ['{"policy":7}', /^policy: "7" is not/],
    ['{"policy":1.5}', /^policy: 1\.5 stands/],
    ['{"policy":{}}', /^policy: an object stands/],
    ['{"proxyProtocol":"v1"}', /^proxyProtocol: "v1" is not a PROXY protocol that this version/],
    ['{"proxyProtocol":3}', /^proxyProtocol: "3" is not/],
    ['{"healthCheck":{}}', /^health_check\.probe: one of http, tcp and grpc is required/],
    ['{"health_check":{"tcp":{"x":1}}}', /^healthCheck\.tcp\.x: is not a field/],
    ['{"healthCheck":{"tcp":{},"grpc":{}}}', /^healthCheck\.grpc: and tcp exclude each other/],
    [
      '{"healthCheck":{"tcp":{},"interval":"50ms"}}',
      /^healthCheck\.interval: "50ms" is not a time/,
    ],
    [
      '{"healthCheck":{"tcp":{},"interval":"0.05s"}}',
      /^health_check\.interval: 50 ms is not within 100 ms to 1 h/,
    ],
    [
      '{"healthCheck":{"http":{"expectedStatuses":["200"]}}}',
      /^healthCheck\.http\.expectedStatuses: a list stands where a list of whole numbers/,
    ],
    ['{"hashKey":{"header":"x","path":true}}', /^hashKey\.path: and header exclude each other/],
    ['{"hashKey":{"header":"a b"}}', /^hash_key\.header: "a b" is not the name of a header/],
    ['{"zonePreference":{"usablePercentMin":101}}', /^zone_preference\.usable_percent_min: 101/],
    ['{"slowStart":"0.5s"}', /^slow_start: 500 ms is not within 1 s to 1 h/],
    ['{"limits":{"queue":100001}}', /^limits\.queue: 100001 is not within 1 to 100000/],
    ['{"limits":{"queueTime":"1s"}}', /^limits\.queue_time: needs a queue/],
    ['{"ejection":{"off":"yes"}}', /^ejection\.off: yes stands where true or false/],
    ['{"tcp":{"connectTries":11}}', /^tcp\.connect_tries: 11 is not within 1 to 10/],
    ['{"pause":{"queue":0}}', /^pause\.queue: 0 is not within 1 to 100000/],
    ['{"name":"other"}', /^name: "other" disagrees/],
  ])("as a service: %s", ([text, reason]) => {
    expect(reasonOf(() => service(text))).toMatch(reason);
  });

  test.for<readonly [text: string, reason: RegExp]>([
    ['{"weight":1001}', /^weight: 1001 is not a weight/],
    ['{"weight":-1}', /^weight: -1 is not a weight/],
    ['{"weight":0.5}', /^weight: 0\.5 stands/],
    ['{"service":"other"}', /^service: "other" disagrees/],
    ['{"address":"10.0.0.1:1"}', /^address: "10\.0\.0\.1:1" disagrees/],
    ['{"address":"nonsense"}', /^address: "nonsense" is not HOST:PORT/],
    ['{"ttl":"soon"}', /^ttl: "soon" is not a time that passes/],
    ['{"ttl":"0s"}', /^ttl: "0s" is not a time that passes/],
    ['{"ttl":"-5s"}', /^ttl: "-5s" is not/],
    ['{"ttl":10}', /^ttl: 10 stands/],
  ])("as a backend: %s", ([text, reason]) => {
    expect(reasonOf(() => backend(text))).toMatch(reason);
  });

  test("a text that only looks like a field written twice is none", () => {
    const labels = { a: '"service":"x","service":"y"', b: '\\"a":{' };
    const text = `{${ok},"labels":${JSON.stringify(labels)}}`;
    expect(route(text).labels).toEqual(labels);
  });

  test("nothing takes longer than in proportion to its length", () => {
    const million = 1024 * 1024;
    const texts = [
      `{${ok},"labels":{"a":${JSON.stringify("\\".repeat(million / 2))}}}`,
      `{${ok},"labels":{${Array.from({ length: 90_000 }, (_, i) => `"k${i}":""`).join()}}}`,
      `{${ok},${'"a"'.padEnd(million)}:1}`,
      `{${ok},"labels":{"a":"${"x".repeat(million)}"}}`,
      `{${ok},"${"x".repeat(million)}":1}`,
      `{"http":{"domain":"${"a.".repeat(million / 2)}"},"service":"web"}`,
      `{"http":{"domain":"x","pathPrefix":"${"/".repeat(million)}x"},"service":"web"}`,
      `{"tcp":{"port":"${"1".repeat(million)}"},"service":"web"}`,
    ];
    for (const text of texts) {
      const startMs = performance.now();
      expect(reasonOf(() => route(text)).length, text.slice(0, 80)).toBeLessThan(400);
      // Some 100 ms for the worst of them; what is quadratic takes minutes.
      expect(performance.now() - startMs, text.slice(0, 80)).toBeLessThan(4_000);
    }
  });

  test("whatever the text, the only error is one that names a field", () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string({ unit: "binary", maxLength: 200 })), (text) => {
        for (const decode of [route, service, backend]) {
          try {
            decode(text);
          } catch (thrown) {
            expect(thrown).toBeInstanceOf(RouterError);
            expect(thrown).toMatchObject({ code: "invalid-argument" });
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("what the store writes", () => {
  const labels = fc.dictionary(
    fc.stringMatching(/^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,20}[A-Za-z0-9])?$/),
    fc.string({ unit: "grapheme", maxLength: 20 }),
    { noNullPrototype: true, maxKeys: 5 },
  );

  test("a route that has its match anew is as old as its entry", () => {
    const written = routeNamed("web", { matchRevision: revisionZero });
    expect(route(encodeRoute(written)).matchRevision).toBe(40);
  });

  test("is read as it was: services and backends", () => {
    for (const policy of [undefined, ...Object.values(Policy)]) {
      const written = { name: parseServiceName("web"), policy };
      expect(service(encodeService(written))).toStrictEqual(written);
      for (const proxyProtocol of Object.values(ProxyProtocol)) {
        const more = { ...written, proxyProtocol };
        expect(service(encodeService(more))).toStrictEqual(more);
      }
    }
    fc.assert(
      fc.property(anyService({ paused: true }), (written) => {
        expect(service(encodeService(written))).toStrictEqual(written);
      }),
    );
    const arbitrary = fc.record({
      labels,
      weight: fc.integer({ min: 1, max: 1000 }),
      ttlMs: fc.option(fc.integer({ min: 1, max: 1e9 }), { nil: undefined }),
    });
    fc.assert(
      fc.property(arbitrary, (parts) => {
        const written = backendAt("10.0.0.7:8080", parts);
        expect(backend(encodeBackend(written), true)).toEqual({
          ...written,
          joined: facts.created,
        });
      }),
    );
  });

  test("is short enough to be read by people", () => {
    expect(encodeRoute({ ...byHand, matchRevision: revisionZero })).toBe(
      '{"http":{"domain":"app.example.com"},"service":"web"}',
    );
    expect(encodeBackend(backendAt("10.0.0.7:8080"))).toBe("{}");
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
