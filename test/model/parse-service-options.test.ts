// Goal: what a service may say is checked wholly, every default is filled in, and one wish has one form; a pause is
// nobody's to put.
// Method: tables of what is taken, with what it becomes, and of what is refused; random wishes there and back.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RouterError } from "../../src/model/errors.ts";
import { parseServiceName } from "../../src/model/names.ts";
import type { HealthCheckWish, ProbeWish } from "../../src/model/parse-health-check.ts";
import {
  noServiceWish,
  parsePause,
  parseServiceOptions,
  type ServiceOptionsWish,
  stillPaused,
  withPause,
} from "../../src/model/parse-service-options.ts";
import { Policy, sameService } from "../../src/model/service.ts";
import { anyServiceWish } from "../support/any-service.ts";

const parse = (parts: Partial<ServiceOptionsWish>) =>
  parseServiceOptions({ ...noServiceWish, ...parts }, "service");
const http = { kind: "http", path: "", host: "", statuses: [], body: "" } as const;
const check: HealthCheckWish = {
  probe: { kind: "tcp" },
  intervalMs: undefined,
  timeoutMs: undefined,
  healthyThreshold: 0,
  unhealthyThreshold: 0,
};
const checked = {
  probe: { kind: "tcp" },
  intervalMs: 10_000,
  timeoutMs: 1_000,
  healthyThreshold: 1,
  unhealthyThreshold: 3,
};
const limits = {
  requestsPerBackend: 0,
  connectionsPerBackend: 0,
  requests: 0,
  connections: 0,
  queue: 0,
  queueMs: undefined,
};
const ejection = {
  off: false,
  consecutiveFailures: 0,
  successPercentMin: 0,
  baseMs: undefined,
  maxMs: undefined,
};
const tcp = {
  connectTries: 0,
  connectMs: undefined,
  idleMs: undefined,
  halfClosedMs: undefined,
  keepaliveMs: undefined,
};
const hourMs = 3_600_000;

test.for<Partial<ServiceOptionsWish>>([
  {},
  { hashKey: { kind: "client", name: "" } },
  { limits },
  { ejection },
  { tcp },
])("nothing asked for is no options: %j", (wish) => {
  expect(parse(wish)).toBeUndefined();
});

test.for<readonly [Partial<ServiceOptionsWish>, unknown]>([
  [{ hashKey: { kind: "path", name: "" } }, { hashKey: { kind: "path" } }],
  [
    { hashKey: { kind: "header", name: "X-User" } },
    { hashKey: { kind: "header", name: "x-user" } },
  ],
  [{ hashKey: { kind: "cookie", name: "SID" } }, { hashKey: { kind: "cookie", name: "SID" } }],
  [{ zone: { usablePercentMin: 0 } }, { zone: { usablePercentMin: 70 } }],
  [{ zone: { usablePercentMin: 100 } }, { zone: { usablePercentMin: 100 } }],
  [{ slowStartMs: 1_000 }, { slowStartMs: 1_000 }],
  [{ slowStartMs: hourMs }, { slowStartMs: hourMs }],
  [{ healthCheck: check }, { healthCheck: checked }],
  [
    { healthCheck: { ...check, intervalMs: 100 } },
    { healthCheck: { ...checked, intervalMs: 100, timeoutMs: 100 } },
  ],
  [
    { healthCheck: { ...check, intervalMs: 5_000, timeoutMs: 5_000 } },
    { healthCheck: { ...checked, intervalMs: 5_000, timeoutMs: 5_000 } },
  ],
  [
    { healthCheck: { ...check, healthyThreshold: 100, unhealthyThreshold: 1 } },
    { healthCheck: { ...checked, healthyThreshold: 100, unhealthyThreshold: 1 } },
  ],
  [
    { healthCheck: { ...check, probe: http } },
    { healthCheck: { ...checked, probe: { kind: "http", path: "/" } } },
  ],
  [
    {
      healthCheck: {
        ...check,
        probe: {
          kind: "http",
          path: "/h?x=1",
          host: "[::1]:80",
          statuses: [204, 200, 204],
          body: "ü",
        },
      },
    },
    {
      healthCheck: {
        ...checked,
        probe: { kind: "http", path: "/h?x=1", host: "[::1]:80", statuses: [200, 204], body: "ü" },
      },
    },
  ],
  [
    { healthCheck: { ...check, probe: { kind: "grpc", service: "" } } },
    { healthCheck: { ...checked, probe: { kind: "grpc", service: "" } } },
  ],
  [
    { limits: { ...limits, requests: 1_000_000, queue: 100_000, queueMs: 600_000 } },
    { limits: { requests: 1_000_000, queue: 100_000, queueMs: 600_000 } },
  ],
  [{ ejection: { ...ejection, off: true } }, { ejection: { off: true } }],
  [
    { ejection: { ...ejection, consecutiveFailures: 1, successPercentMin: 100, baseMs: 100 } },
    { ejection: { consecutiveFailures: 1, successPercentMin: 100, baseMs: 100 } },
  ],
  [
    { ejection: { ...ejection, baseMs: hourMs, maxMs: hourMs } },
    { ejection: { baseMs: hourMs, maxMs: hourMs } },
  ],
  [
    { tcp: { ...tcp, connectTries: 10, idleMs: 24 * hourMs, keepaliveMs: 2 * hourMs } },
    { tcp: { connectTries: 10, idleMs: 24 * hourMs, keepaliveMs: 2 * hourMs } },
  ],
])("%j is taken", ([wish, options]) => {
  expect(parse(wish)).toStrictEqual(options);
});

const probed = (probe: ProbeWish | undefined): Partial<ServiceOptionsWish> => ({
  healthCheck: { ...check, probe },
});

describe("what is refused", () => {
  test.for<readonly [Partial<ServiceOptionsWish>, string]>([
    [{ hashKey: { kind: "header", name: "" } }, "hash_key.header"],
    [{ hashKey: { kind: "cookie", name: "a b" } }, "hash_key.cookie"],
    [{ zone: { usablePercentMin: 101 } }, "zone_preference.usable_percent_min"],
    [{ slowStartMs: 999 }, "slow_start"],
    [{ slowStartMs: hourMs + 1 }, "slow_start"],
    [{ slowStartMs: 0 }, "slow_start"],
    [{ slowStartMs: -1_000 }, "slow_start"],
    [{ slowStartMs: Number.NaN }, "slow_start"],
    [probed(undefined), "health_check.probe"],
    [probed({ ...http, path: "healthz" }), "health_check.http.path"],
    [probed({ ...http, path: "/a b" }), "health_check.http.path"],
    [probed({ ...http, path: "/a\r\nX: y" }), "health_check.http.path"],
    [probed({ ...http, path: "/a#b" }), "health_check.http.path"],
    [probed({ ...http, path: `/${"a".repeat(1024)}` }), "health_check.http.path"],
    [probed({ ...http, host: "a\r\nX: y" }), "health_check.http.host"],
    [probed({ ...http, host: "a/b" }), "health_check.http.host"],
    [probed({ ...http, statuses: [200, 99] }), "health_check.http.expected_statuses[1]"],
    [probed({ ...http, statuses: [600] }), "health_check.http.expected_statuses[0]"],
    [
      probed({ ...http, statuses: Array.from({ length: 501 }, () => 200) }),
      "health_check.http.expected_statuses",
    ],
    [probed({ ...http, body: "ü".repeat(513) }), "health_check.http.expected_body"],
    [probed({ kind: "grpc", service: "a b" }), "health_check.grpc.service"],
    [{ healthCheck: { ...check, intervalMs: 99 } }, "health_check.interval"],
    [{ healthCheck: { ...check, intervalMs: hourMs + 1 } }, "health_check.interval"],
    [{ healthCheck: { ...check, timeoutMs: 10_001 } }, "health_check.timeout"],
    [{ healthCheck: { ...check, timeoutMs: 0 } }, "health_check.timeout"],
    [{ healthCheck: { ...check, healthyThreshold: 101 } }, "health_check.healthy_threshold"],
    [{ healthCheck: { ...check, unhealthyThreshold: 101 } }, "health_check.unhealthy_threshold"],
    [{ limits: { ...limits, requests: 1_000_001 } }, "limits.requests"],
    [{ limits: { ...limits, connections: 1_000_001 } }, "limits.connections"],
    [{ limits: { ...limits, requestsPerBackend: -1 } }, "limits.requests_per_backend"],
    [{ limits: { ...limits, connectionsPerBackend: 0.5 } }, "limits.connections_per_backend"],
    [{ limits: { ...limits, queue: 100_001 } }, "limits.queue"],
    [{ limits: { ...limits, queueMs: 1_000 } }, "limits.queue_time"],
    [{ limits: { ...limits, queue: 1, queueMs: 0 } }, "limits.queue_time"],
    [{ limits: { ...limits, queue: 1, queueMs: 600_001 } }, "limits.queue_time"],
    [{ ejection: { ...ejection, successPercentMin: 101 } }, "ejection.success_percent_min"],
    [{ ejection: { ...ejection, consecutiveFailures: 1_001 } }, "ejection.consecutive_failures"],
    [{ ejection: { ...ejection, baseMs: 99 } }, "ejection.base_time"],
    [{ ejection: { ...ejection, maxMs: hourMs + 1 } }, "ejection.max_time"],
    [{ ejection: { ...ejection, baseMs: 2_000, maxMs: 1_999 } }, "ejection.max_time"],
    [{ tcp: { ...tcp, connectTries: 11 } }, "tcp.connect_tries"],
    [{ tcp: { ...tcp, connectMs: 0 } }, "tcp.connect_timeout"],
    [{ tcp: { ...tcp, idleMs: 24 * hourMs + 1 } }, "tcp.idle_time"],
    [{ tcp: { ...tcp, halfClosedMs: 0 } }, "tcp.half_closed_time"],
    [{ tcp: { ...tcp, keepaliveMs: 999 } }, "tcp.keepalive"],
    [{ tcp: { ...tcp, keepaliveMs: 2 * hourMs + 1 } }, "tcp.keepalive"],
  ])("%j", ([wish, field]) => {
    expect(fieldsOf(() => parse(wish))).toEqual([`service.${field}`]);
  });

  test("all that is wrong, in one answer", () => {
    const wrong = {
      zone: { usablePercentMin: 101 },
      healthCheck: { ...check, probe: undefined, intervalMs: 1, healthyThreshold: 101 },
      tcp: { ...tcp, connectTries: 11 },
    };
    expect(fieldsOf(() => parse(wrong))).toEqual([
      "service.zone_preference.usable_percent_min",
      "service.health_check.probe",
      "service.health_check.interval",
      "service.health_check.healthy_threshold",
      "service.tcp.connect_tries",
    ]);
  });

  test("in words that name the bounds", () => {
    expect(() => parse({ slowStartMs: 90_000_000 })).toThrow(
      "service.slow_start: 25 h is not within 1 s to 1 h",
    );
    expect(() => parse({ healthCheck: { ...check, intervalMs: 500, timeoutMs: 900 } })).toThrow(
      "service.health_check.timeout: 900 ms is not within 1 ms to 500 ms",
    );
  });
});

test("one wish has one form: what came out, asked for again, comes out the same", () => {
  fc.assert(
    fc.property(anyServiceWish, (wish) => {
      const options = parseServiceOptions(wish, "");
      const again = parseServiceOptions(
        {
          ...noServiceWish,
          ...options,
          hashKey: options?.hashKey && { name: "", ...options.hashKey },
          limits: options?.limits && { ...limits, ...options.limits },
          healthCheck: options?.healthCheck && {
            ...options.healthCheck,
            probe:
              options.healthCheck.probe.kind === "http"
                ? { ...http, ...options.healthCheck.probe }
                : options.healthCheck.probe,
          },
          ejection: options?.ejection && { ...ejection, ...options.ejection },
          tcp: options?.tcp && { ...tcp, ...options.tcp },
        },
        "",
      );
      expect(JSON.stringify(again)).toBe(JSON.stringify(options));
    }),
  );
});

describe("a pause", () => {
  const pause = { queue: 1_000, queueMs: 30_000, sinceMs: 1_790_000_000_000 };
  const web = { name: parseServiceName("web"), policy: Policy.Random };

  test("is put into options and taken out of them, which then are as before", () => {
    const options = parse({ slowStartMs: 5_000 });
    const paused = withPause(options, pause);
    expect(paused).toEqual({ slowStartMs: 5_000, pause });
    expect(withPause(paused, undefined)).toStrictEqual(options);
    expect(withPause(undefined, pause)).toStrictEqual({ pause });
    expect(withPause({ pause }, undefined)).toBeUndefined();
  });

  test("stays when its service is put, and no put makes one", () => {
    const existing = { ...web, options: { slowStartMs: 5_000, pause } };
    expect(stillPaused(web, existing)).toStrictEqual({ ...web, options: { pause } });
    expect(stillPaused(web, web)).toBe(web);
    expect(stillPaused(web, undefined)).toBe(web);
    expect(sameService(web, stillPaused(web, existing))).toBe(false);
  });

  test("does not take settings with it that were put meanwhile", () => {
    const existing = {
      ...web,
      policy: undefined,
      options: { pause: { ...pause, made: true as const } },
    };
    expect(stillPaused(web, existing)).toStrictEqual({ ...web, options: { pause } });
  });

  test.for<readonly [Partial<typeof pause>, string]>([
    [{ queue: 0 }, "queue"],
    [{ queue: 100_001 }, "queue"],
    [{ queueMs: 99 }, "queue_time"],
    [{ queueMs: 600_001 }, "queue_time"],
    [{ sinceMs: -1 }, "since"],
  ])("with %j is refused", ([wrong, field]) => {
    expect(fieldsOf(() => parsePause({ ...pause, ...wrong }, "pause"))).toEqual([`pause.${field}`]);
    expect(fieldsOf(() => parsePause({ ...pause, ...wrong }, ""))).toEqual([field]);
  });
});

function fieldsOf(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof RouterError && thrown.code === "invalid-argument") {
      return (thrown.details.violations ?? []).map(({ field }) => field);
    }
    throw thrown;
  }
  return [];
}
