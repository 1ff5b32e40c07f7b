// A service as an object of JSON: the model's own shape, with every field checked as if a caller had asked for it.

import { invalidField } from "../model/errors.ts";
import { parseServiceName } from "../model/names.ts";
import type { HealthCheckWish, ProbeWish } from "../model/parse-health-check.ts";
import {
  parsePause,
  parseServiceOptions,
  type ServiceOptionsWish,
  withPause,
} from "../model/parse-service-options.ts";
import { Policy, ProxyProtocol, type Service } from "../model/service.ts";
import type { HashKey, Pause, ServiceOptions } from "../model/service-options.ts";
import {
  fieldsOf,
  flagOf,
  numberListOf,
  numberOf,
  oneOf,
  optional,
  textOf,
  type ValueFields,
} from "./value-fields.ts";

/** Throws "invalid-argument" naming the field. */
export function serviceOf(fields: ValueFields): Service {
  const name = parseServiceName(textOf(fields, "name"), "name");
  const policy = choiceOf(fields, "policy", Object.values(Policy));
  const proxyProtocol = choiceOf(fields, "proxyProtocol", Object.values(ProxyProtocol));
  const options = optional(fields, "options", optionsOf);
  return {
    name,
    policy,
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
    ...(options === undefined ? {} : { options }),
  };
}

function choiceOf<T>(fields: ValueFields, name: string, choices: readonly T[]): T | undefined {
  const written = fields.values[name];
  if (written === undefined) return undefined;
  const choice = choices.find((known) => known === written);
  if (choice !== undefined) return choice;
  throw invalidField(name, `${JSON.stringify(written)} is not one this version knows`);
}

function optionsOf(within: ValueFields, name: string): ServiceOptions | undefined {
  const fields = fieldsOf(within, name);
  const field = `${within.path}${name}`;
  const options = parseServiceOptions(wishOf(fields), field);
  const pause = optional(fields, "pause", (of, key) =>
    parsePause(pauseOf(of, key), `${field}.${key}`),
  );
  return withPause(options, pause);
}

function wishOf(fields: ValueFields): ServiceOptionsWish {
  return {
    hashKey: optional(fields, "hashKey", keyOf),
    zone: optional(fields, "zone", (of, name) => ({
      usablePercentMin: numberOf(fieldsOf(of, name), "usablePercentMin"),
    })),
    slowStartMs: optional(fields, "slowStartMs", numberOf),
    limits: optional(fields, "limits", limitsOf),
    healthCheck: optional(fields, "healthCheck", checkOf),
    ejection: optional(fields, "ejection", ejectionOf),
    tcp: optional(fields, "tcp", tcpOf),
  };
}

const keyKinds: readonly HashKey["kind"][] = ["client", "path", "header", "cookie"];

function keyOf(within: ValueFields, name: string): ServiceOptionsWish["hashKey"] {
  const fields = fieldsOf(within, name);
  return { kind: oneOf(fields, "kind", keyKinds), name: optional(fields, "name", textOf) ?? "" };
}

const countOf = (fields: ValueFields, name: string): number =>
  optional(fields, name, numberOf) ?? 0;

const msOf = (fields: ValueFields, name: string): number | undefined =>
  optional(fields, name, numberOf);

function limitsOf(within: ValueFields, name: string): ServiceOptionsWish["limits"] {
  const fields = fieldsOf(within, name);
  return {
    requestsPerBackend: countOf(fields, "requestsPerBackend"),
    connectionsPerBackend: countOf(fields, "connectionsPerBackend"),
    requests: countOf(fields, "requests"),
    connections: countOf(fields, "connections"),
    queue: countOf(fields, "queue"),
    queueMs: msOf(fields, "queueMs"),
  };
}

function checkOf(within: ValueFields, name: string): HealthCheckWish {
  const fields = fieldsOf(within, name);
  return {
    probe: probeOf(fieldsOf(fields, "probe")),
    intervalMs: msOf(fields, "intervalMs"),
    timeoutMs: msOf(fields, "timeoutMs"),
    healthyThreshold: countOf(fields, "healthyThreshold"),
    unhealthyThreshold: countOf(fields, "unhealthyThreshold"),
  };
}

const probeKinds: readonly ProbeWish["kind"][] = ["http", "tcp", "grpc"];

function probeOf(fields: ValueFields): ProbeWish {
  const kind = oneOf(fields, "kind", probeKinds);
  if (kind === "tcp") return { kind };
  if (kind === "grpc") return { kind, service: textOf(fields, "service") };
  return {
    kind,
    path: textOf(fields, "path"),
    host: optional(fields, "host", textOf) ?? "",
    statuses: optional(fields, "statuses", numberListOf) ?? [],
    body: optional(fields, "body", textOf) ?? "",
  };
}

function ejectionOf(within: ValueFields, name: string): ServiceOptionsWish["ejection"] {
  const fields = fieldsOf(within, name);
  return {
    off: optional(fields, "off", flagOf) ?? false,
    consecutiveFailures: countOf(fields, "consecutiveFailures"),
    successPercentMin: countOf(fields, "successPercentMin"),
    baseMs: msOf(fields, "baseMs"),
    maxMs: msOf(fields, "maxMs"),
  };
}

function tcpOf(within: ValueFields, name: string): ServiceOptionsWish["tcp"] {
  const fields = fieldsOf(within, name);
  return {
    connectTries: countOf(fields, "connectTries"),
    connectMs: msOf(fields, "connectMs"),
    idleMs: msOf(fields, "idleMs"),
    halfClosedMs: msOf(fields, "halfClosedMs"),
    keepaliveMs: msOf(fields, "keepaliveMs"),
  };
}

function pauseOf(within: ValueFields, name: string): Pause {
  const fields = fieldsOf(within, name);
  return {
    queue: numberOf(fields, "queue"),
    queueMs: numberOf(fields, "queueMs"),
    sinceMs: numberOf(fields, "sinceMs"),
    ...(optional(fields, "made", flagOf) === true && { made: true }),
  };
}
