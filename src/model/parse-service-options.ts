// What a service says beside its policy, as a caller asks for it, checked.
//
// What comes out is canonical: two wishes for the same thing make the same object, and its JSON tells whether two
// services differ. A pause is no wish: PauseService alone makes it, see `withPause`.

import { invalidField } from "./errors.ts";
import { Fields, inside } from "./fields.ts";
import { type HealthCheckWish, parseHealthCheck } from "./parse-health-check.ts";
import { askedCount, askedMs, countWithin, msWithin, type Range } from "./ranges.ts";
import type { Service } from "./service.ts";
import type {
  Ejection,
  HashKey,
  Pause,
  ServiceLimits,
  ServiceOptions,
  TcpSettings,
  ZonePreference,
} from "./service-options.ts";

/** "", 0 and undefined stand for what was left out; times in ms. */
export interface ServiceOptionsWish {
  readonly hashKey: { readonly kind: HashKey["kind"]; readonly name: string } | undefined;
  readonly zone: { readonly usablePercentMin: number } | undefined;
  readonly slowStartMs: number | undefined;
  readonly limits:
    | {
        readonly requestsPerBackend: number;
        readonly connectionsPerBackend: number;
        readonly requests: number;
        readonly connections: number;
        readonly queue: number;
        readonly queueMs: number | undefined;
      }
    | undefined;
  readonly healthCheck: HealthCheckWish | undefined;
  readonly ejection:
    | {
        readonly off: boolean;
        readonly consecutiveFailures: number;
        readonly successPercentMin: number;
        readonly baseMs: number | undefined;
        readonly maxMs: number | undefined;
      }
    | undefined;
  readonly tcp:
    | {
        readonly connectTries: number;
        readonly connectMs: number | undefined;
        readonly idleMs: number | undefined;
        readonly halfClosedMs: number | undefined;
        readonly keepaliveMs: number | undefined;
      }
    | undefined;
}

/** Nothing asked for. */
export const noServiceWish: ServiceOptionsWish = {
  hashKey: undefined,
  zone: undefined,
  slowStartMs: undefined,
  limits: undefined,
  healthCheck: undefined,
  ejection: undefined,
  tcp: undefined,
};

const hourMs = 3_600_000;
const percents: Range = { min: 1, max: 100 };
const usablePercentDefault = 70;
const slowStartMs: Range = { min: 1_000, max: hourMs };
/** More than a node can hold; less than what its counters do. */
const inFlight: Range = { min: 1, max: 1_000_000 };
const queued: Range = { min: 1, max: 100_000 };
const queueMs: Range = { min: 1, max: 600_000 };
const failures: Range = { min: 1, max: 1_000 };
const ejectionMs: Range = { min: 100, max: hourMs };
const connectTries: Range = { min: 1, max: 10 };
const connectMs: Range = { min: 1, max: hourMs };
const idleMs: Range = { min: 1, max: 24 * hourMs };
const keepaliveMs: Range = { min: 1_000, max: 2 * hourMs };
/** A pause is bounded even when nobody ends it. */
const pausedMs: Range = { min: 100, max: 600_000 };

/**
 * Checks and fills in; undefined when nothing is asked for. Throws "invalid-argument" naming every wrong field below
 * `field`.
 */
export function parseServiceOptions(
  wish: ServiceOptionsWish,
  field: string,
): ServiceOptions | undefined {
  const fields = new Fields();
  const read = <W, T>(
    asked: W | undefined,
    name: string,
    parse: (asked: W, field: string) => T,
  ): T | undefined =>
    asked === undefined ? undefined : fields.read(() => parse(asked, inside(field, name)));
  const hashKey = read(wish.hashKey, "hash_key", parseHashKey);
  const zone = read(wish.zone, "zone_preference", parseZonePreference);
  const slowStart = read(wish.slowStartMs, "slow_start", (ms, at) => msWithin(ms, slowStartMs, at));
  const limits = read(wish.limits, "limits", parseLimits);
  const healthCheck = read(wish.healthCheck, "health_check", parseHealthCheck);
  const ejection = read(wish.ejection, "ejection", parseEjection);
  const tcp = read(wish.tcp, "tcp", parseTcp);
  fields.throwIfWrong();
  // What was not asked for has no key, so that the same options are the same text.
  return filled<ServiceOptions>({
    ...filledAs("hashKey", hashKey),
    ...filledAs("zone", zone),
    ...filledAs("slowStartMs", slowStart),
    ...filledAs("limits", limits),
    ...filledAs("healthCheck", healthCheck),
    ...filledAs("ejection", ejection),
    ...filledAs("tcp", tcp),
  });
}

/** The options with another pause; undefined: with none. */
export function withPause(
  options: ServiceOptions | undefined,
  pause: Pause | undefined,
): ServiceOptions | undefined {
  const { pause: _, ...others } = options ?? {};
  return filled<ServiceOptions>({ ...others, ...filledAs("pause", pause) });
}

/** What is put leaves a pause as it is: that is not for settings to say. But they stay when it ends. */
export function stillPaused(service: Service, existing: Service | undefined): Service {
  const before = existing?.options?.pause;
  if (before === undefined) return service;
  const { made: _, ...pause } = before;
  const options = withPause(service.options, pause);
  return { ...service, ...(options === undefined ? {} : { options }) };
}

/** As a store has it: "invalid-argument" names the field below `field`. */
export function parsePause(pause: Pause, field: string): Pause {
  const fields = new Fields();
  fields.read(() => countWithin(pause.queue, queued, inside(field, "queue")));
  fields.read(() => msWithin(pause.queueMs, pausedMs, inside(field, "queue_time")));
  fields.read(() => {
    if (Number.isInteger(pause.sinceMs) && pause.sinceMs >= 0) return;
    throw invalidField(inside(field, "since"), "is not a time");
  });
  fields.throwIfWrong();
  const { queue, queueMs: waits, sinceMs, made } = pause;
  return { queue, queueMs: waits, sinceMs, ...(made === true && { made }) };
}

/** The client's address is what everybody's requests go by. */
function parseHashKey(
  { kind, name }: NonNullable<ServiceOptionsWish["hashKey"]>,
  field: string,
): HashKey | undefined {
  switch (kind) {
    case "client":
      return undefined;
    case "path":
      return { kind };
    case "header":
    case "cookie":
      if (/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/.test(name)) {
        return { kind, name: kind === "header" ? name.toLowerCase() : name };
      }
      throw invalidField(
        `${field}.${kind}`,
        `${JSON.stringify(name.slice(0, 80).toWellFormed())} is not the name of a ${kind}`,
      );
    default:
      throw invalidField(field, "names no key: one of header, cookie, path and client_address");
  }
}

function parseZonePreference(
  wish: NonNullable<ServiceOptionsWish["zone"]>,
  field: string,
): ZonePreference {
  const asked = askedCount(wish.usablePercentMin, percents, `${field}.usable_percent_min`);
  return { usablePercentMin: asked ?? usablePercentDefault };
}

function parseLimits(
  wish: NonNullable<ServiceOptionsWish["limits"]>,
  field: string,
): ServiceLimits | undefined {
  const fields = new Fields();
  const count = (
    name: "requestsPerBackend" | "connectionsPerBackend" | "requests" | "connections" | "queue",
    protoName: string,
  ): object => {
    const range = name === "queue" ? queued : inFlight;
    const at = `${field}.${protoName}`;
    return filledAs(
      name,
      fields.read(() => askedCount(wish[name], range, at)),
    );
  };
  const limits = {
    ...count("requestsPerBackend", "requests_per_backend"),
    ...count("connectionsPerBackend", "connections_per_backend"),
    ...count("requests", "requests"),
    ...count("connections", "connections"),
    ...count("queue", "queue"),
    ...filledAs(
      "queueMs",
      fields.read(() => parseQueueMs(wish, `${field}.queue_time`)),
    ),
  };
  fields.throwIfWrong();
  return filled<ServiceLimits>(limits);
}

function parseQueueMs(
  { queue, queueMs: ms }: NonNullable<ServiceOptionsWish["limits"]>,
  field: string,
): number | undefined {
  const asked = askedMs(ms, queueMs, field);
  if (asked === undefined || queue !== 0) return asked;
  throw invalidField(field, "needs a queue: without one nobody waits");
}

function parseEjection(
  wish: NonNullable<ServiceOptionsWish["ejection"]>,
  field: string,
): Ejection | undefined {
  const fields = new Fields();
  const consecutive = fields.read(() =>
    askedCount(wish.consecutiveFailures, failures, `${field}.consecutive_failures`),
  );
  const success = fields.read(() =>
    askedCount(wish.successPercentMin, percents, `${field}.success_percent_min`),
  );
  const baseMs = fields.read(() => askedMs(wish.baseMs, ejectionMs, `${field}.base_time`));
  const maxMs = fields.read(() => askedMs(wish.maxMs, ejectionMs, `${field}.max_time`));
  fields.read(() => {
    if (baseMs === undefined || maxMs === undefined || baseMs <= maxMs) return;
    throw invalidField(`${field}.max_time`, "is shorter than base_time");
  });
  fields.throwIfWrong();
  return filled<Ejection>({
    ...(wish.off ? { off: true } : {}),
    ...filledAs("consecutiveFailures", consecutive),
    ...filledAs("successPercentMin", success),
    ...filledAs("baseMs", baseMs),
    ...filledAs("maxMs", maxMs),
  });
}

function parseTcp(
  wish: NonNullable<ServiceOptionsWish["tcp"]>,
  field: string,
): TcpSettings | undefined {
  const fields = new Fields();
  const ms = (asked: number | undefined, range: Range, name: string): number | undefined =>
    fields.read(() => askedMs(asked, range, `${field}.${name}`));
  const tries = fields.read(() =>
    askedCount(wish.connectTries, connectTries, `${field}.connect_tries`),
  );
  const connect = ms(wish.connectMs, connectMs, "connect_timeout");
  const idle = ms(wish.idleMs, idleMs, "idle_time");
  const halfClosed = ms(wish.halfClosedMs, idleMs, "half_closed_time");
  const keepalive = ms(wish.keepaliveMs, keepaliveMs, "keepalive");
  fields.throwIfWrong();
  return filled<TcpSettings>({
    ...filledAs("connectTries", tries),
    ...filledAs("connectMs", connect),
    ...filledAs("idleMs", idle),
    ...filledAs("halfClosedMs", halfClosed),
    ...filledAs("keepaliveMs", keepalive),
  });
}

/** `{ name: value }`, or nothing when there is no value. */
function filledAs<N extends string, T>(name: N, value: T | undefined): { readonly [K in N]?: T } {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a computed key is a string to the compiler
  return (value === undefined ? {} : { [name]: value }) as { readonly [K in N]?: T };
}

/** Without anything in it there is nothing. */
function filled<T extends object>(parts: T): T | undefined {
  return Object.keys(parts).length === 0 ? undefined : parts;
}
