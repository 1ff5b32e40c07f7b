// A service's settings in words.

import { type HealthCheck, type HttpProbe, Service } from "../gen/crosspoint/v1/router.ts";
import { messageToShortJson } from "./proto-json.ts";
import { checkText, durationText, policyText, proxyProtocolText, timeText } from "./show.ts";

type Said<Name extends keyof Service> = NonNullable<Service[Name]>;

const wordsOf = {
  slowStart: ({ slowStart }: Service) => `slow start ${durationText(slowStart)}`,
  zonePreference: ({ zonePreference }: Service) =>
    `own zone first${percentText(zonePreference?.usablePercentMin ?? 0)}`,
  limits: ({ limits }: Service) => (limits === undefined ? "" : limitsText(limits)),
  ejection: ({ ejection }: Service) => (ejection === undefined ? "" : ejectionText(ejection)),
  tcp: ({ tcp }: Service) => (tcp === undefined ? "" : tcpText(tcp)),
  pause: ({ pause }: Service) => (pause === undefined ? "" : pauseText(pause)),
} as const satisfies Partial<Record<keyof Service, (service: Service) => string>>;

/** What neither the policy nor the check says: "slow start 30s", "at most 100 requests in flight". */
export function settingTexts(service: Service): readonly string[] {
  const json = messageToShortJson("Service", Service, service);
  if (typeof json !== "object" || json === null || Array.isArray(json)) return [];
  return Object.entries(wordsOf).flatMap(([name, words]) => {
    const text = json[name] === undefined ? "" : words(service);
    return text === "" ? [] : [text];
  });
}

/** "web  round-robin  http:/healthz each 10s  sends PROXY v2  slow start 30s". */
export function serviceText(service: Service): string {
  const version = proxyProtocolText(service);
  return [
    service.name,
    policyAndKeyText(service),
    checkAndTimesText(service),
    version === "" ? "" : `sends PROXY ${version}`,
    ...settingTexts(service),
  ]
    .filter(Boolean)
    .join("  ");
}

/** "ring-hash by header x-user". */
export function policyAndKeyText({ policy, hashKey }: Service): string {
  const key = hashKey?.key;
  const by = key === undefined ? "" : keyText(key);
  return [policyText(policy), by === "" ? "" : `by ${by}`].filter(Boolean).join(" ");
}

function keyText(key: NonNullable<Said<"hashKey">["key"]>): string {
  if (key.$case === "header" || key.$case === "cookie") return `${key.$case} ${key.value}`;
  if (!key.value) return "";
  return key.$case === "path" ? "path" : "client";
}

/** "http:/healthz each 10s within 1s, up after 1, down after 3, expects 200 204". */
export function checkAndTimesText(service: Service): string {
  const check = service.healthCheck;
  if (check === undefined) return "";
  const { interval, timeout, healthyThreshold, unhealthyThreshold } = check;
  const times = [
    checkText(service),
    interval === undefined ? "" : `each ${durationText(interval)}`,
    timeout === undefined ? "" : `within ${durationText(timeout)}`,
  ];
  return listed([
    times.filter(Boolean).join(" "),
    healthyThreshold === 0 ? "" : `up after ${healthyThreshold}`,
    unhealthyThreshold === 0 ? "" : `down after ${unhealthyThreshold}`,
    ...probeTexts(check.probe),
  ]);
}

function probeTexts(probe: HealthCheck["probe"]): readonly string[] {
  return probe?.$case === "http" ? httpProbeTexts(probe.value) : [];
}

function httpProbeTexts({ host, expectedStatuses, expectedBody }: HttpProbe): readonly string[] {
  return [
    host === "" ? "" : `host ${host}`,
    expectedStatuses.length === 0 ? "" : `expects ${expectedStatuses.join(" ")}`,
    expectedBody === "" ? "" : `expects ${JSON.stringify(expectedBody)}`,
  ];
}

function percentText(percent: number): string {
  return percent === 0 ? "" : ` while ${percent} % are usable`;
}

/** "at most 100 requests and 20 connections, 10 requests to a backend; 50 wait up to 5s". */
function limitsText(limits: Said<"limits">): string {
  const { requestsPerBackend, connectionsPerBackend, requests, connections } = limits;
  const bounds = listed([
    requests === 0 ? "" : `${requests} requests`,
    connections === 0 ? "" : `${connections} connections`,
    requestsPerBackend === 0 ? "" : `${requestsPerBackend} requests to a backend`,
    connectionsPerBackend === 0 ? "" : `${connectionsPerBackend} connections to a backend`,
  ]);
  const waits = limits.queueTime === undefined ? "" : ` up to ${durationText(limits.queueTime)}`;
  return [
    bounds === "" ? "" : `at most ${bounds}`,
    limits.queue === 0 ? "" : `${limits.queue} wait${waits}`,
  ]
    .filter(Boolean)
    .join("; ");
}

/** "ejects after 3 failures, below 60 % success, for 5s up to 60s". */
function ejectionText(ejection: Said<"ejection">): string {
  if (ejection.off) return "ejects nothing";
  const { consecutiveFailures, successPercentMin, baseTime, maxTime } = ejection;
  const times = [
    baseTime === undefined ? "" : `for ${durationText(baseTime)}`,
    maxTime === undefined ? "" : `up to ${durationText(maxTime)}`,
  ];
  const text = listed([
    consecutiveFailures === 0 ? "" : `after ${consecutiveFailures} failures`,
    successPercentMin === 0 ? "" : `below ${successPercentMin} % success`,
    times.filter(Boolean).join(" "),
  ]);
  return text === "" ? "" : `ejects ${text}`;
}

/** "TCP: 2 tries, connect 1s, idle 600s". */
function tcpText(tcp: Said<"tcp">): string {
  const named = {
    connect: tcp.connectTimeout,
    idle: tcp.idleTime,
    "half-closed": tcp.halfClosedTime,
    keepalive: tcp.keepalive,
  };
  const text = listed([
    tcp.connectTries === 0 ? "" : `${tcp.connectTries} tries`,
    ...Object.entries(named).map(([name, time]) =>
      time === undefined ? "" : `${name} ${durationText(time)}`,
    ),
  ]);
  return text === "" ? "" : `TCP: ${text}`;
}

/** "paused since 2026-11-21T08:00:00Z, 1000 wait up to 30s". */
function pauseText({ since, queue, queueTime }: Said<"pause">): string {
  const when = since === undefined ? "" : ` since ${timeText(since)}`;
  return `paused${when}, ${queue} wait up to ${durationText(queueTime)}`;
}

function listed(texts: readonly string[]): string {
  return texts.filter(Boolean).join(", ");
}
