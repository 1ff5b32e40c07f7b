// How a service's backends are to be asked for their health, as a caller says it, checked and with every default.

import { invalidField } from "./errors.ts";
import { Fields } from "./fields.ts";
import { askedCount, askedMs, countWithin, type Range } from "./ranges.ts";
import type { HealthCheck, Probe } from "./service-options.ts";

/** "", 0, [] and undefined stand for what was left out. */
export type ProbeWish =
  | {
      readonly kind: "http";
      readonly path: string;
      readonly host: string;
      readonly statuses: readonly number[];
      readonly body: string;
    }
  | { readonly kind: "tcp" }
  | { readonly kind: "grpc"; readonly service: string };

export interface HealthCheckWish {
  readonly probe: ProbeWish | undefined;
  readonly intervalMs: number | undefined;
  readonly timeoutMs: number | undefined;
  readonly healthyThreshold: number;
  readonly unhealthyThreshold: number;
}

const intervalMs: Range = { min: 100, max: 3_600_000 };
/** The kubelet's and Envoy's common choice; HAProxy asks each 2 s, of far fewer. */
const intervalMsDefault = 10_000;
const timeoutMsDefault = 1_000;
const thresholds: Range = { min: 1, max: 100 };
/** One good answer brings a backend back; three bad ones take it away, as the kubelet's failureThreshold. */
const healthyThresholdDefault = 1;
const unhealthyThresholdDefault = 3;
const statuses: Range = { min: 100, max: 599 };
/** All that there are. */
const statusesMax = statuses.max - statuses.min + 1;
const pathCharactersMax = 1024;
const bodyBytesMax = 1024;

/** Throws "invalid-argument" naming every wrong field below `field`. */
export function parseHealthCheck(wish: HealthCheckWish, field: string): HealthCheck {
  const fields = new Fields();
  const probe = fields.read(() => parseProbe(wish.probe, field));
  const interval =
    fields.read(() => askedMs(wish.intervalMs, intervalMs, `${field}.interval`)) ??
    intervalMsDefault;
  const timeout = fields.read(() =>
    askedMs(wish.timeoutMs, { min: 1, max: interval }, `${field}.timeout`),
  );
  const healthy = fields.read(() =>
    askedCount(wish.healthyThreshold, thresholds, `${field}.healthy_threshold`),
  );
  const unhealthy = fields.read(() =>
    askedCount(wish.unhealthyThreshold, thresholds, `${field}.unhealthy_threshold`),
  );
  fields.throwIfWrong();
  return {
    probe: probe!,
    intervalMs: interval,
    timeoutMs: timeout ?? Math.min(timeoutMsDefault, interval),
    healthyThreshold: healthy ?? healthyThresholdDefault,
    unhealthyThreshold: unhealthy ?? unhealthyThresholdDefault,
  };
}

function parseProbe(wish: ProbeWish | undefined, field: string): Probe {
  switch (wish?.kind) {
    case "http":
      return parseHttpProbe(wish, `${field}.http`);
    case "tcp":
      return { kind: "tcp" };
    case "grpc":
      return { kind: "grpc", service: parseGrpcService(wish.service, `${field}.grpc.service`) };
    default:
      throw invalidField(`${field}.probe`, "one of http, tcp and grpc is required");
  }
}

function parseHttpProbe(wish: Extract<ProbeWish, { readonly kind: "http" }>, field: string): Probe {
  const fields = new Fields();
  const path = fields.read(() => parseProbePath(wish.path, `${field}.path`));
  const host = fields.read(() => parseProbeHost(wish.host, `${field}.host`));
  const expected = fields.read(() => parseStatuses(wish.statuses, `${field}.expected_statuses`));
  const body = fields.read(() => parseProbeBody(wish.body, `${field}.expected_body`));
  fields.throwIfWrong();
  return {
    kind: "http",
    path: path!,
    ...(host === undefined ? {} : { host }),
    ...(expected === undefined ? {} : { statuses: expected }),
    ...(body === undefined ? {} : { body }),
  };
}

function parseStatuses(asked: readonly number[], field: string): readonly number[] | undefined {
  if (asked.length === 0) return undefined;
  if (asked.length > statusesMax) {
    throw invalidField(field, `has ${asked.length} entries; at most ${statusesMax} are allowed`);
  }
  const fields = new Fields();
  fields.readAll(asked, (status, index) => countWithin(status, statuses, `${field}[${index}]`));
  fields.throwIfWrong();
  return [...new Set(asked)].toSorted((a, b) => a - b);
}

/** With its query; what a request line may hold (RFC 9112 section 3.2.1). */
function parseProbePath(path: string, field: string): string {
  if (path === "") return "/";
  if (/^\/[!-~]*$/.test(path) && path.length <= pathCharactersMax && !path.includes("#")) {
    return path;
  }
  throw invalidField(
    field,
    `${shown(path)} is not a path: it starts with "/" and holds at most ${pathCharactersMax} printable ASCII characters, no "#"`,
  );
}

/** A host name or an address, with or without a port (RFC 9110 section 7.2). */
function parseProbeHost(host: string, field: string): string | undefined {
  if (host === "") return undefined;
  if (/^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/.test(host)) return host;
  throw invalidField(field, `${shown(host)} is not what a Host field says`);
}

function parseProbeBody(body: string, field: string): string | undefined {
  if (body === "") return undefined;
  const bytes = new TextEncoder().encode(body).length;
  if (bytes <= bodyBytesMax) return body.toWellFormed();
  throw invalidField(field, `has ${bytes} bytes; at most ${bodyBytesMax} are allowed`);
}

/** "grpc.health.v1.Health": anything that a health service may know; "": the server as a whole. */
function parseGrpcService(service: string, field: string): string {
  if (/^[!-~]{0,256}$/.test(service)) return service;
  throw invalidField(
    field,
    `${shown(service)} is not a gRPC service: at most 256 printable ASCII characters`,
  );
}

const shown = (text: string): string => JSON.stringify(text.slice(0, 80).toWellFormed());
