// A service's options as proto3 JSON of crosspoint.v1; see etcd-values for what is common to all entries.

import { unreachable } from "../model/errors.ts";
import type { HealthCheckWish, ProbeWish } from "../model/parse-health-check.ts";
import {
  parsePause,
  parseServiceOptions,
  type ServiceOptionsWish,
  withPause,
} from "../model/parse-service-options.ts";
import type {
  Ejection,
  HashKey,
  HealthCheck,
  Pause,
  Probe,
  ServiceLimits,
  ServiceOptions,
  TcpSettings,
} from "../model/service-options.ts";
import type { JsonFields } from "./etcd-json.ts";
import {
  decodedDuration,
  decodedTime,
  encodedDuration,
  encodedTime,
  inObject,
} from "./etcd-words.ts";

export function encodedServiceOptions(options: ServiceOptions): object {
  const { hashKey, zone, slowStartMs, limits, healthCheck, ejection, tcp, pause } = options;
  return {
    ...(healthCheck === undefined ? {} : { healthCheck: encodedCheck(healthCheck) }),
    ...(hashKey === undefined ? {} : { hashKey: encodedKey(hashKey) }),
    ...(zone === undefined ? {} : { zonePreference: zone }),
    ...encodedDuration("slowStart", slowStartMs),
    ...(limits === undefined ? {} : { limits: encodedLimits(limits) }),
    ...(ejection === undefined ? {} : { ejection: encodedEjection(ejection) }),
    ...(tcp === undefined ? {} : { tcp: encodedTcp(tcp) }),
    ...(pause === undefined ? {} : { pause: encodedPause(pause) }),
  };
}

function encodedKey(key: HashKey): object {
  switch (key.kind) {
    case "client":
      return { clientAddress: true };
    case "path":
      return { path: true };
    case "header":
    case "cookie":
      return { [key.kind]: key.name };
    default:
      return unreachable(key);
  }
}

function encodedLimits({ queueMs, ...counts }: ServiceLimits): object {
  return { ...counts, ...encodedDuration("queueTime", queueMs) };
}

function encodedCheck(check: HealthCheck): object {
  return {
    ...encodedProbe(check.probe),
    ...encodedDuration("interval", check.intervalMs),
    ...encodedDuration("timeout", check.timeoutMs),
    healthyThreshold: check.healthyThreshold,
    unhealthyThreshold: check.unhealthyThreshold,
  };
}

/** A oneof lies flat in proto3 JSON. */
function encodedProbe(probe: Probe): object {
  switch (probe.kind) {
    case "http": {
      const { path, host, statuses, body } = probe;
      return {
        http: {
          path,
          ...(host === undefined ? {} : { host }),
          ...(statuses === undefined ? {} : { expectedStatuses: statuses }),
          ...(body === undefined ? {} : { expectedBody: body }),
        },
      };
    }
    case "tcp":
      return { tcp: {} };
    case "grpc":
      return { grpc: probe.service === "" ? {} : { service: probe.service } };
    default:
      return unreachable(probe);
  }
}

function encodedEjection({ baseMs, maxMs, ...others }: Ejection): object {
  return {
    ...others,
    ...encodedDuration("baseTime", baseMs),
    ...encodedDuration("maxTime", maxMs),
  };
}

function encodedTcp({ connectTries, ...times }: TcpSettings): object {
  return {
    ...(connectTries === undefined ? {} : { connectTries }),
    ...encodedDuration("connectTimeout", times.connectMs),
    ...encodedDuration("idleTime", times.idleMs),
    ...encodedDuration("halfClosedTime", times.halfClosedMs),
    ...encodedDuration("keepalive", times.keepaliveMs),
  };
}

function encodedPause({ queue, queueMs, sinceMs, made }: Pause): object {
  return {
    queue,
    ...encodedDuration("queueTime", queueMs),
    ...encodedTime("since", sinceMs),
    ...(made === true && { made }),
  };
}

/** Takes the fields of the options; what it answers checks them. Throws "invalid-argument" naming the field. */
export function takeServiceOptions(fields: JsonFields): () => ServiceOptions | undefined {
  const wish = serviceOptionsWish(fields);
  const pause = inObject(fields, "pause", pauseOf);
  return () =>
    withPause(parseServiceOptions(wish, ""), pause && parsePause(pause, fields.path("pause")));
}

function serviceOptionsWish(fields: JsonFields): ServiceOptionsWish {
  return {
    hashKey: inObject(fields, "hashKey", keyWish),
    zone: inObject(fields, "zonePreference", (zone) => ({
      usablePercentMin: count(zone, "usablePercentMin"),
    })),
    slowStartMs: decodedDuration(fields, "slowStart"),
    limits: inObject(fields, "limits", (limits) => ({
      requestsPerBackend: count(limits, "requestsPerBackend"),
      connectionsPerBackend: count(limits, "connectionsPerBackend"),
      requests: count(limits, "requests"),
      connections: count(limits, "connections"),
      queue: count(limits, "queue"),
      queueMs: decodedDuration(limits, "queueTime"),
    })),
    healthCheck: inObject(fields, "healthCheck", checkWish),
    ejection: inObject(fields, "ejection", (ejection) => ({
      off: ejection.flag("off"),
      consecutiveFailures: count(ejection, "consecutiveFailures"),
      successPercentMin: count(ejection, "successPercentMin"),
      baseMs: decodedDuration(ejection, "baseTime"),
      maxMs: decodedDuration(ejection, "maxTime"),
    })),
    tcp: inObject(fields, "tcp", (tcp) => ({
      connectTries: count(tcp, "connectTries"),
      connectMs: decodedDuration(tcp, "connectTimeout"),
      idleMs: decodedDuration(tcp, "idleTime"),
      halfClosedMs: decodedDuration(tcp, "halfClosedTime"),
      keepaliveMs: decodedDuration(tcp, "keepalive"),
    })),
  };
}

function count(fields: JsonFields, name: string): number {
  return fields.integer(name) ?? 0;
}

function keyWish(fields: JsonFields): ServiceOptionsWish["hashKey"] {
  const header = fields.text("header");
  const cookie = fields.text("cookie");
  const path = fields.flag("path");
  const client = fields.flag("clientAddress");
  fields.refuseTogether({ header, cookie, path, clientAddress: client });
  if (header !== undefined) return { kind: "header", name: header };
  if (cookie !== undefined) return { kind: "cookie", name: cookie };
  return { kind: path ? "path" : "client", name: "" };
}

function checkWish(fields: JsonFields): HealthCheckWish {
  return {
    probe: probeWish(fields),
    intervalMs: decodedDuration(fields, "interval"),
    timeoutMs: decodedDuration(fields, "timeout"),
    healthyThreshold: count(fields, "healthyThreshold"),
    unhealthyThreshold: count(fields, "unhealthyThreshold"),
  };
}

function probeWish(fields: JsonFields): ProbeWish | undefined {
  const http = inObject(
    fields,
    "http",
    (probe): ProbeWish => ({
      kind: "http",
      path: probe.text("path") ?? "",
      host: probe.text("host") ?? "",
      statuses: probe.integerList("expectedStatuses"),
      body: probe.text("expectedBody") ?? "",
    }),
  );
  const tcp = inObject(fields, "tcp", (): ProbeWish => ({ kind: "tcp" }));
  const grpc = inObject(
    fields,
    "grpc",
    (probe): ProbeWish => ({ kind: "grpc", service: probe.text("service") ?? "" }),
  );
  fields.refuseTogether({ http, tcp, grpc });
  return http ?? tcp ?? grpc;
}

function pauseOf(fields: JsonFields): Pause {
  return {
    queue: count(fields, "queue"),
    queueMs: decodedDuration(fields, "queueTime") ?? 0,
    sinceMs: decodedTime(fields, "since"),
    ...(fields.flag("made") && { made: true }),
  };
}
