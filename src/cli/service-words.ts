// The words behind `crosspoint service put`, and the settings that they ask for.
//
// Only the shape of each word is judged here, and that no flag stands where it could do nothing; ranges and what fits
// together are the node's to judge.

import {
  type Ejection,
  type HashKey,
  type HealthCheck,
  Service,
  type ServiceLimits,
  type TcpSettings,
} from "../gen/crosspoint/v1/router.ts";
import { type Flag, type Flags, grouped, textOf, textsOf } from "./command.ts";
import { usageError } from "./failure.ts";
import { countOf, parseCheck, timeOf } from "./parse-words.ts";
import { policies, proxyProtocols } from "./show.ts";

const duration = "DURATION";

const balancing: readonly Flag[] = [
  {
    name: "policy",
    value: "POLICY",
    help: "how a backend is chosen (default: least-loaded)",
    choices: Object.keys(policies),
  },
  {
    name: "hash",
    value: "KEY",
    help: "what ring-hash keeps together: header:NAME, cookie:NAME, path or client (default: client)",
  },
  {
    name: "zone-percent",
    value: "N",
    help: "backends of the node's own zone come first while so many percent of them are usable; 70 is usual",
  },
  {
    name: "slow-start",
    value: duration,
    help: "how long a new or returning backend takes to come to its full share",
  },
  {
    name: "send-proxy",
    value: "VERSION",
    help: "begin connections to its backends with a PROXY protocol preface: v1 or v2",
    choices: Object.keys(proxyProtocols),
  },
];

const checks: readonly Flag[] = [
  { name: "check", value: "PROBE", help: "ask backends: http:/PATH, tcp or grpc[:SERVICE]" },
  { name: "check-host", value: "HOST", help: "what the probe says as Host" },
  {
    name: "check-status",
    value: "STATUS",
    help: "what a healthy backend answers, such as 204 or 200-299 (default: 200-399); repeatable",
    repeatable: true,
  },
  { name: "check-body", value: "TEXT", help: "what the beginning of the answer's body must hold" },
  { name: "check-interval", value: duration, help: "from one probe to the next (default: 10s)" },
  { name: "check-timeout", value: duration, help: "for a probe (default: 1s)" },
  { name: "check-healthy", value: "N", help: "good probes until it is used again (default: 1)" },
  { name: "check-unhealthy", value: "N", help: "bad probes until it is not (default: 3)" },
];

const ejecting: readonly Flag[] = [
  {
    name: "eject",
    value: "on|off",
    help: "whether a backend that fails requests is left out for a while (default: on)",
    choices: ["on", "off"],
  },
  { name: "eject-failures", value: "N", help: "after so many failures in a row (default: 5)" },
  {
    name: "eject-success",
    value: "PERCENT",
    help: "or when fewer of the last requests succeed (default: 50)",
  },
  { name: "eject-time", value: duration, help: "for so long the first time (default: 10s)" },
  { name: "eject-time-max", value: duration, help: "for so long at most (default: 5m)" },
];

const limiting: readonly Flag[] = [
  { name: "max-requests", value: "N", help: "requests in flight of the whole service" },
  { name: "max-requests-per-backend", value: "N", help: "requests in flight to one backend" },
  { name: "max-connections", value: "N", help: "TCP and upgraded connections of the service" },
  { name: "max-connections-per-backend", value: "N", help: "connections to one backend" },
  { name: "queue", value: "N", help: "who may wait for room (default: nobody)" },
  { name: "queue-time", value: duration, help: "how long they may wait (default: 5s)" },
];

const connecting: readonly Flag[] = [
  { name: "tcp-tries", value: "N", help: "backends that are tried for one connection" },
  { name: "tcp-connect-time", value: duration, help: "for each" },
  { name: "tcp-idle-time", value: duration, help: "until a silent connection is closed" },
  {
    name: "tcp-half-closed-time",
    value: duration,
    help: "the same once one side has ended",
  },
  {
    name: "tcp-keepalive",
    value: duration,
    help: "silence until the kernel asks the peers whether they are there",
  },
];

/** Of `service put`, beside the wait. */
export const serviceFlags: readonly Flag[] = [
  ...grouped("Choosing a backend", balancing),
  ...grouped("Health checks", checks),
  ...grouped("Ejection", ejecting),
  ...grouped("Limits, on each node", limiting),
  ...grouped("TCP routes and upgraded connections", connecting),
];

/** What the flags ask for. Throws "invalid-argument" naming the word that is wrong. */
export function serviceOfWords(name: string, flags: Flags): Service {
  refuseIdle(flags);
  const zonePercent = countOf(flags, "zone-percent");
  return Service.fromPartial({
    name,
    policy: policies[textOf(flags, "policy") ?? ""] ?? 0,
    proxyProtocol: proxyProtocols[textOf(flags, "send-proxy") ?? ""] ?? 0,
    hashKey: hashKeyOf(textOf(flags, "hash")),
    zonePreference: zonePercent === 0 ? undefined : { usablePercentMin: zonePercent },
    slowStart: timeOf(flags, "slow-start"),
    healthCheck: checkOf(flags),
    ejection: ejectionOf(flags),
    limits: limitsOf(flags),
    tcp: tcpOf(flags),
  });
}

/** Flags that mean something only beside another. */
function refuseIdle(flags: Flags): void {
  for (const { name } of checks.slice(1)) {
    if (flags[name] === undefined || flags["check"] !== undefined) continue;
    throw usageError(`--${name}: goes with --check, which is not there`);
  }
  for (const { name } of ejecting.slice(1)) {
    if (flags[name] === undefined || flags["eject"] !== "off") continue;
    throw usageError(`--${name}: nothing is ejected with --eject off`);
  }
  if (flags["queue-time"] !== undefined && flags["queue"] === undefined) {
    throw usageError("--queue-time: goes with --queue, which is not there");
  }
  if (flags["hash"] !== undefined && flags["policy"] !== "ring-hash") {
    throw usageError("--hash: goes with --policy ring-hash, which is not there");
  }
}

function hashKeyOf(word: string | undefined): HashKey | undefined {
  if (word === undefined) return undefined;
  if (word === "path" || word === "client") {
    return { key: { $case: word === "path" ? "path" : "clientAddress", value: true } };
  }
  const [, kind, name = ""] = /^(header|cookie):(.+)$/.exec(word) ?? [];
  if (kind === "header" || kind === "cookie") return { key: { $case: kind, value: name } };
  throw usageError(
    `--hash: ${JSON.stringify(word)} is not header:NAME, cookie:NAME, path or client`,
  );
}

function checkOf(flags: Flags): HealthCheck | undefined {
  const word = textOf(flags, "check");
  if (word === undefined) return undefined;
  return {
    probe: probeOf(word, flags),
    interval: timeOf(flags, "check-interval"),
    timeout: timeOf(flags, "check-timeout"),
    healthyThreshold: countOf(flags, "check-healthy"),
    unhealthyThreshold: countOf(flags, "check-unhealthy"),
  };
}

function probeOf(word: string, flags: Flags): HealthCheck["probe"] {
  const probe = parseCheck(word, "--check");
  const host = textOf(flags, "check-host");
  const body = textOf(flags, "check-body");
  const statuses = textsOf(flags, "check-status").flatMap(parseStatuses);
  if (probe.$case === "http") {
    const { path } = probe.value;
    return {
      $case: "http",
      value: { path, host: host ?? "", expectedStatuses: statuses, expectedBody: body ?? "" },
    };
  }
  for (const name of ["check-host", "check-status", "check-body"]) {
    if (flags[name] === undefined) continue;
    throw usageError(`--${name}: is for --check http:/PATH; ${word} has none`);
  }
  return probe;
}

/** "204", "200-299", "200,204". */
function parseStatuses(word: string): readonly number[] {
  return word.split(",").flatMap((part) => {
    const [, first = "", last = first] = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(part) ?? [];
    const count = Number(last) - Number(first) + 1;
    if (first !== "" && count > 0) {
      return Array.from({ length: count }, (_, i) => Number(first) + i);
    }
    throw usageError(
      `--check-status: ${JSON.stringify(part)} is not a status or a range, such as 204 or 200-299`,
    );
  });
}

function ejectionOf(flags: Flags): Ejection | undefined {
  if (ejecting.every(({ name }) => flags[name] === undefined)) return undefined;
  return {
    off: textOf(flags, "eject") === "off",
    consecutiveFailures: countOf(flags, "eject-failures"),
    successPercentMin: countOf(flags, "eject-success"),
    baseTime: timeOf(flags, "eject-time"),
    maxTime: timeOf(flags, "eject-time-max"),
  };
}

function limitsOf(flags: Flags): ServiceLimits | undefined {
  if (limiting.every(({ name }) => flags[name] === undefined)) return undefined;
  return {
    requestsPerBackend: countOf(flags, "max-requests-per-backend"),
    connectionsPerBackend: countOf(flags, "max-connections-per-backend"),
    requests: countOf(flags, "max-requests"),
    connections: countOf(flags, "max-connections"),
    queue: countOf(flags, "queue"),
    queueTime: timeOf(flags, "queue-time"),
  };
}

function tcpOf(flags: Flags): TcpSettings | undefined {
  if (connecting.every(({ name }) => flags[name] === undefined)) return undefined;
  return {
    connectTries: countOf(flags, "tcp-tries"),
    connectTimeout: timeOf(flags, "tcp-connect-time"),
    idleTime: timeOf(flags, "tcp-idle-time"),
    halfClosedTime: timeOf(flags, "tcp-half-closed-time"),
    keepalive: timeOf(flags, "tcp-keepalive"),
  };
}
