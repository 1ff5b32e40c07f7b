// Services with anything in them that may be in a service, for property tests: made of wishes that the parsers take.

import * as fc from "fast-check";
import { parseServiceName } from "../../src/model/names.ts";
import {
  noServiceWish,
  parsePause,
  parseServiceOptions,
  type ServiceOptionsWish,
  withPause,
} from "../../src/model/parse-service-options.ts";
import { Policy, ProxyProtocol, type Service } from "../../src/model/service.ts";

const count = (max: number) => fc.oneof(fc.constant(0), fc.integer({ min: 1, max }));
const ms = (min: number, max: number) => fc.option(fc.integer({ min, max }), { nil: undefined });
const hourMs = 3_600_000;
const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}$/);

const probe = fc.oneof(
  fc.record({
    kind: fc.constant("http" as const),
    path: fc.oneof(fc.constant(""), fc.stringMatching(/^\/[!"$-~]{0,12}$/)),
    host: fc.constantFrom("", "app.example.com", "app:8080", "[::1]:80"),
    statuses: fc.array(fc.integer({ min: 100, max: 599 }), { maxLength: 5 }),
    body: fc.string({ unit: "grapheme", maxLength: 12 }),
  }),
  fc.record({ kind: fc.constant("tcp" as const) }),
  fc.record({
    kind: fc.constant("grpc" as const),
    service: fc.constantFrom("", "shop.v1.Shop"),
  }),
);

const healthCheck = fc
  .record({
    probe,
    intervalMs: ms(100, hourMs),
    timeoutMs: ms(1, hourMs),
    healthyThreshold: count(100),
    unhealthyThreshold: count(100),
  })
  .map(({ timeoutMs, ...check }) => ({
    ...check,
    timeoutMs: timeoutMs && Math.min(timeoutMs, check.intervalMs ?? 10_000),
  }));

const wishes = {
  hashKey: fc.record({
    kind: fc.constantFrom("client", "path", "header", "cookie"),
    name: token,
  }),
  zone: fc.record({ usablePercentMin: count(100) }),
  slowStartMs: fc.integer({ min: 1_000, max: hourMs }),
  limits: fc
    .record({
      requestsPerBackend: count(1_000_000),
      connectionsPerBackend: count(1_000_000),
      requests: count(1_000_000),
      connections: count(1_000_000),
      queue: count(100_000),
      queueMs: ms(1, 600_000),
    })
    .map((limits) => (limits.queue === 0 ? { ...limits, queueMs: undefined } : limits)),
  healthCheck,
  ejection: fc
    .record({
      off: fc.boolean(),
      consecutiveFailures: count(1_000),
      successPercentMin: count(100),
      baseMs: ms(100, hourMs),
      maxMs: ms(100, hourMs),
    })
    .map(({ baseMs, maxMs, ...others }) => ({
      ...others,
      baseMs: baseMs && maxMs && Math.min(baseMs, maxMs),
      maxMs: baseMs && maxMs && Math.max(baseMs, maxMs),
    })),
  tcp: fc.record({
    connectTries: count(10),
    connectMs: ms(1, hourMs),
    idleMs: ms(1, 24 * hourMs),
    halfClosedMs: ms(1, 24 * hourMs),
    keepaliveMs: ms(1_000, 2 * hourMs),
  }),
} as const;

export const anyServiceWish: fc.Arbitrary<ServiceOptionsWish> = fc
  .record(wishes, { requiredKeys: [] })
  .map((some) => ({ ...noServiceWish, ...some }));

const pause = fc
  .record({
    queue: fc.integer({ min: 1, max: 100_000 }),
    queueMs: fc.integer({ min: 100, max: 600_000 }),
    sinceMs: fc.integer({ min: 1, max: 4_000_000_000_000 }),
  })
  .map((asked) => parsePause(asked, ""));

/** Any service named "web"; paused now and then when `paused`. */
export function anyService({ paused }: { readonly paused: boolean }): fc.Arbitrary<Service> {
  return fc
    .record({
      policy: fc.constantFrom(undefined, ...Object.values(Policy)),
      proxyProtocol: fc.constantFrom(undefined, ...Object.values(ProxyProtocol)),
      wish: anyServiceWish,
      pause: paused ? fc.option(pause, { nil: undefined, freq: 3 }) : fc.constant(undefined),
    })
    .map(({ policy, proxyProtocol, wish, pause: held }) => {
      const options = withPause(parseServiceOptions(wish, ""), held);
      return {
        name: parseServiceName("web"),
        policy,
        ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
        ...(options === undefined ? {} : { options }),
      };
    });
}
