// model Service -> proto: what is answered can be sent again as it is, and means the same; but for a pause, which
// is only ever answered.

import * as proto from "../gen/crosspoint/v1/router.ts";
import type { Duration } from "../gen/google/protobuf/duration.ts";
import { unreachable } from "../model/errors.ts";
import { Policy, ProxyProtocol, type Service } from "../model/service.ts";
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
import { renderDuration } from "./duration.ts";

export function renderService(service: Service): proto.Service {
  return {
    name: service.name,
    policy: service.policy === undefined ? proto.Policy.UNSPECIFIED : policies[service.policy],
    proxyProtocol: renderProxyProtocol(service.proxyProtocol),
    ...(service.options === undefined ? {} : renderOptions(service.options)),
  };
}

const policies: Readonly<Record<Policy, proto.Policy>> = {
  [Policy.Random]: proto.Policy.RANDOM,
  [Policy.RoundRobin]: proto.Policy.ROUND_ROBIN,
  [Policy.LeastLoaded]: proto.Policy.LEAST_LOADED,
  [Policy.PeakEwma]: proto.Policy.PEAK_EWMA,
  [Policy.RingHash]: proto.Policy.RING_HASH,
  [Policy.Leader]: proto.Policy.LEADER,
};

function renderProxyProtocol(version: ProxyProtocol | undefined): proto.ProxyProtocol {
  if (version === undefined) return proto.ProxyProtocol.UNSPECIFIED;
  return version === ProxyProtocol.V1 ? proto.ProxyProtocol.V1 : proto.ProxyProtocol.V2;
}

function renderOptions(options: ServiceOptions): Partial<proto.Service> {
  const { hashKey, zone, slowStartMs, limits, healthCheck, ejection, tcp, pause } = options;
  return {
    hashKey: hashKey === undefined ? undefined : { key: renderKey(hashKey) },
    zonePreference: zone === undefined ? undefined : { ...zone },
    slowStart: renderMs(slowStartMs),
    limits: limits === undefined ? undefined : renderLimits(limits),
    healthCheck: healthCheck === undefined ? undefined : renderCheck(healthCheck),
    ejection: ejection === undefined ? undefined : renderEjection(ejection),
    tcp: tcp === undefined ? undefined : renderTcp(tcp),
    pause: pause === undefined ? undefined : renderPause(pause),
  };
}

function renderMs(ms: number | undefined): Duration | undefined {
  return ms === undefined ? undefined : renderDuration(ms);
}

function renderKey(key: HashKey): proto.HashKey["key"] {
  switch (key.kind) {
    case "client":
      return { $case: "clientAddress", value: true };
    case "path":
      return { $case: "path", value: true };
    case "header":
    case "cookie":
      return { $case: key.kind, value: key.name };
    default:
      return unreachable(key);
  }
}

function renderLimits(limits: ServiceLimits): proto.ServiceLimits {
  return {
    requestsPerBackend: limits.requestsPerBackend ?? 0,
    connectionsPerBackend: limits.connectionsPerBackend ?? 0,
    requests: limits.requests ?? 0,
    connections: limits.connections ?? 0,
    queue: limits.queue ?? 0,
    queueTime: renderMs(limits.queueMs),
  };
}

function renderCheck(check: HealthCheck): proto.HealthCheck {
  return {
    probe: renderProbe(check.probe),
    interval: renderDuration(check.intervalMs),
    timeout: renderDuration(check.timeoutMs),
    healthyThreshold: check.healthyThreshold,
    unhealthyThreshold: check.unhealthyThreshold,
  };
}

function renderProbe(probe: Probe): proto.HealthCheck["probe"] {
  switch (probe.kind) {
    case "http": {
      const { path, host = "", statuses = [], body = "" } = probe;
      const value = { path, host, expectedStatuses: [...statuses], expectedBody: body };
      return { $case: "http", value };
    }
    case "tcp":
      return { $case: "tcp", value: {} };
    case "grpc":
      return { $case: "grpc", value: { service: probe.service } };
    default:
      return unreachable(probe);
  }
}

function renderEjection(ejection: Ejection): proto.Ejection {
  return {
    off: ejection.off ?? false,
    consecutiveFailures: ejection.consecutiveFailures ?? 0,
    successPercentMin: ejection.successPercentMin ?? 0,
    baseTime: renderMs(ejection.baseMs),
    maxTime: renderMs(ejection.maxMs),
  };
}

function renderTcp(tcp: TcpSettings): proto.TcpSettings {
  return {
    connectTries: tcp.connectTries ?? 0,
    connectTimeout: renderMs(tcp.connectMs),
    idleTime: renderMs(tcp.idleMs),
    halfClosedTime: renderMs(tcp.halfClosedMs),
    keepalive: renderMs(tcp.keepaliveMs),
  };
}

function renderPause({ queue, queueMs, sinceMs }: Pause): proto.Pause {
  return { queue, queueTime: renderDuration(queueMs), since: new Date(sinceMs) };
}
