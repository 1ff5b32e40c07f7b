// proto Service -> model, every field checked and named by its proto path.
//
// Only takes the message apart; what may stand where is said in the model (parse-service-options.ts), the same for a
// request and for what a store holds. `pause` is what the node says, never what is asked for.

import * as proto from "../gen/crosspoint/v1/router.ts";
import type { Duration } from "../gen/google/protobuf/duration.ts";
import { invalidField } from "../model/errors.ts";
import { Fields } from "../model/fields.ts";
import { parseServiceName } from "../model/names.ts";
import type { HealthCheckWish, ProbeWish } from "../model/parse-health-check.ts";
import { parseServiceOptions, type ServiceOptionsWish } from "../model/parse-service-options.ts";
import { Policy, ProxyProtocol, type Service } from "../model/service.ts";
import { parseDurationMs } from "./duration.ts";

/** Throws "invalid-argument" naming every wrong field below `field`. */
export function parseService(message: proto.Service | undefined, field: string): Service {
  if (message === undefined) throw invalidField(field, "is required");
  const fields = new Fields();
  const name = fields.read(() => parseServiceName(message.name, `${field}.name`));
  const policy = fields.read(() => parsePolicy(message.policy, `${field}.policy`));
  const proxyProtocol = fields.read(() =>
    parseProxyProtocol(message.proxyProtocol, `${field}.proxy_protocol`),
  );
  const options = fields.read(() => parseServiceOptions(wishOf(message, fields, field), field));
  fields.throwIfWrong();
  return {
    name: name!,
    policy,
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
    ...(options === undefined ? {} : { options }),
  };
}

function parseProxyProtocol(version: number, field: string): ProxyProtocol | undefined {
  switch (version) {
    case proto.ProxyProtocol.UNSPECIFIED:
      return undefined;
    case proto.ProxyProtocol.V1:
      return ProxyProtocol.V1;
    case proto.ProxyProtocol.V2:
      return ProxyProtocol.V2;
    default:
      throw invalidField(field, `${version} is not a version of the PROXY protocol`);
  }
}

const policies: ReadonlyMap<number, Policy | undefined> = new Map([
  [proto.Policy.UNSPECIFIED, undefined],
  [proto.Policy.RANDOM, Policy.Random],
  [proto.Policy.ROUND_ROBIN, Policy.RoundRobin],
  [proto.Policy.LEAST_LOADED, Policy.LeastLoaded],
  [proto.Policy.PEAK_EWMA, Policy.PeakEwma],
  [proto.Policy.RING_HASH, Policy.RingHash],
  [proto.Policy.LEADER, Policy.Leader],
]);

function parsePolicy(policy: number, field: string): Policy | undefined {
  if (!policies.has(policy)) throw invalidField(field, `${policy} is not a policy`);
  return policies.get(policy);
}

/** Reads a duration below a field; undefined when there is none, or none that is one: `fields` knows. */
type ReadMs = (duration: Duration | undefined, name: string) => number | undefined;

function wishOf(message: proto.Service, fields: Fields, field: string): ServiceOptionsWish {
  const { hashKey, zonePreference, slowStart, limits, healthCheck, ejection, tcp } = message;
  const ms: ReadMs = (duration, name) =>
    duration === undefined
      ? undefined
      : fields.read(() => parseDurationMs(duration, `${field}.${name}`));
  return {
    hashKey: hashKey === undefined ? undefined : keyWish(hashKey),
    zone: zonePreference,
    slowStartMs: ms(slowStart, "slow_start"),
    limits:
      limits === undefined
        ? undefined
        : { ...limits, queueMs: ms(limits.queueTime, "limits.queue_time") },
    healthCheck: healthCheck === undefined ? undefined : checkWish(healthCheck, ms),
    ejection:
      ejection === undefined
        ? undefined
        : {
            ...ejection,
            baseMs: ms(ejection.baseTime, "ejection.base_time"),
            maxMs: ms(ejection.maxTime, "ejection.max_time"),
          },
    tcp:
      tcp === undefined
        ? undefined
        : {
            connectTries: tcp.connectTries,
            connectMs: ms(tcp.connectTimeout, "tcp.connect_timeout"),
            idleMs: ms(tcp.idleTime, "tcp.idle_time"),
            halfClosedMs: ms(tcp.halfClosedTime, "tcp.half_closed_time"),
            keepaliveMs: ms(tcp.keepalive, "tcp.keepalive"),
          },
  };
}

/** `path: false` and `client_address: false` say as little as no key. */
function keyWish({ key }: proto.HashKey): ServiceOptionsWish["hashKey"] {
  switch (key?.$case) {
    case "header":
    case "cookie":
      return { kind: key.$case, name: key.value };
    case "path":
      return { kind: key.value ? "path" : "client", name: "" };
    default:
      return { kind: "client", name: "" };
  }
}

function checkWish(check: proto.HealthCheck, ms: ReadMs): HealthCheckWish {
  return {
    probe: probeWish(check),
    intervalMs: ms(check.interval, "health_check.interval"),
    timeoutMs: ms(check.timeout, "health_check.timeout"),
    healthyThreshold: check.healthyThreshold,
    unhealthyThreshold: check.unhealthyThreshold,
  };
}

function probeWish({ probe }: proto.HealthCheck): ProbeWish | undefined {
  switch (probe?.$case) {
    case "http": {
      const { path, host, expectedStatuses: statuses, expectedBody: body } = probe.value;
      return { kind: "http", path, host, statuses, body };
    }
    case "tcp":
      return { kind: "tcp" };
    case "grpc":
      return { kind: "grpc", service: probe.value.service };
    default:
      return undefined;
  }
}
