// Why a request gets the backend that it gets, in sentences for people: the policy and what it goes by, the zone,
// and of each backend that gets nothing now, why.

import { parseIp } from "../model/ip-address.ts";
import { Policy } from "../model/service.ts";
import type { HashKey } from "../model/service-options.ts";
import type { BackendState } from "./backend-state.ts";
import { explainLimits } from "./explain-limits.ts";
import { hashOctets, hashOfCookieIn, hashWords } from "./key-hash.ts";
import { anybody } from "./picker.ts";
import type { HttpQuestion } from "./question-facts.ts";
import type { ServiceState } from "./service-state.ts";
import { isGood, stayingOf, whyUnusable } from "./usable-backends.ts";
import { zonePartsOf } from "./zoned.ts";

/** Unused backends that Explain names one by one. */
export const unusedShownMax = 20;

const encoder = new TextEncoder();

/**
 * The backend that the request would get, and why, in `steps`; undefined: none can be used, whose reason is told.
 *
 * @param asked Undefined: a connection, of which nothing is known.
 */
export function explainChoice(
  service: ServiceState,
  asked: Pick<HttpQuestion, "path" | "headers" | "clientAddress"> | undefined,
  isSticky: boolean,
  steps: string[],
  random: () => number,
): BackendState | undefined {
  const { nowMs, backends, hashKey } = service;
  explainLimits(service, steps);
  if (backends.length > 0) {
    const count = `${backends.length} ${backends.length === 1 ? "backend" : "backends"}`;
    const by = hashKey === undefined ? "" : ` on ${keyText(hashKey)}`;
    steps.push(`service ${service.name} picks among ${count} by ${service.policy}${by}`);
  }
  const hash = hashKey === undefined ? 0 : explainHash(hashKey, asked, steps, random);
  const backend = service.picker.peek({ ...anybody(random, nowMs), hash });
  explainUnused(service, nowMs, steps);
  if (backend === undefined) return undefined;
  explainZone(service, steps);
  if (isSticky) steps.push("the route is sticky: a valid cookie's backend would come first");
  steps.push(backendText(backend));
  return backend;
}

function keyText(key: HashKey): string {
  switch (key.kind) {
    case "client":
      return "the client's address";
    case "path":
      return "the path";
    default:
      return `${key.kind} ${key.name}`;
  }
}

/** As the worker comes to it (worker/pick-hash.ts). */
function explainHash(
  key: HashKey,
  asked: Pick<HttpQuestion, "path" | "headers" | "clientAddress"> | undefined,
  steps: string[],
  random: () => number,
): number {
  const hash = asked === undefined ? undefined : hashAsked(key, asked);
  if (hash !== undefined) {
    steps.push(`the hash of ${keyText(key)} is ${(hash >>> 0).toString(16).padStart(8, "0")}`);
    return hash;
  }
  if (key.kind !== "client" && asked !== undefined) {
    steps.push(`${keyText(key)} is not there: the client's address counts`);
    return explainHash({ kind: "client" }, asked, steps, random);
  }
  steps.push("the client's address is not said: one is drawn");
  return Math.floor(random() * 2 ** 32) | 0;
}

function octetsHash(text: string): number {
  const bytes = encoder.encode(text);
  return hashOctets(bytes, 0, bytes.length);
}

/** Undefined: it has none. */
function hashAsked(
  key: HashKey,
  { path, headers, clientAddress }: Pick<HttpQuestion, "path" | "headers" | "clientAddress">,
): number | undefined {
  const values = (name: string): string[] =>
    Object.entries(headers)
      .filter(([header]) => header.toLowerCase() === name)
      .map(([, value]) => value.replace(/^[\t ]+|[\t ]+$/g, ""));
  switch (key.kind) {
    case "client": {
      const words = parseIp(clientAddress);
      return words === undefined ? undefined : hashWords(words);
    }
    case "path":
      return octetsHash(/^[^?#]*/.exec(path)?.[0] ?? "");
    case "header": {
      const value = values(key.name).find((each) => each !== "");
      return value === undefined ? undefined : octetsHash(value);
    }
    default:
      for (const value of values("cookie")) {
        const bytes = encoder.encode(value);
        const hash = hashOfCookieIn(bytes, 0, bytes.length, key.name);
        if (hash !== undefined) return hash;
      }
      return undefined;
  }
}

function explainUnused(service: ServiceState, nowMs: number, steps: string[]): void {
  const { backends, usable } = service;
  const isUsed = new Set(usable);
  const unused = backends.filter((backend) => !isUsed.has(backend));
  for (const backend of unused.slice(0, unusedShownMax)) {
    steps.push(`backend ${backend.address} gets nothing: ${whyUnusable(backend, nowMs)}`);
  }
  const more = unused.length - unusedShownMax;
  if (more > 0) steps.push(`${more} more backends get nothing`);
  const bad = usable.filter((backend) => !isGood(backend));
  if (bad.length === 0) return;
  for (const backend of bad.slice(0, unusedShownMax)) {
    steps.push(`backend ${backend.address} is not good: ${whyUnusable(backend, nowMs)}`);
  }
  steps.push(
    bad.length === usable.length
      ? "no backend is good: all are used that do not leave"
      : "less than half of the backends are good: those that were ejected are used as well",
  );
}

function explainZone(service: ServiceState, steps: string[]): void {
  const { options, policy, zone, backends, usable } = service;
  const percent = options?.zone?.usablePercentMin;
  if (percent === undefined || policy === Policy.Leader) return;
  if (zone === "") {
    steps.push("this node has no zone: those of its backends make no difference");
    return;
  }
  const parts = zonePartsOf(stayingOf(backends), usable, zone, percent);
  if (parts === undefined) {
    const isIn = usable.some(({ standing }) => standing.zone === zone);
    steps.push(
      isIn
        ? `all backends that are used are in this node's zone, ${zone}`
        : `no backend of this node's zone, ${zone}, can be used: those of other zones are`,
    );
    return;
  }
  const stay = parts.stays === 1 ? "all requests" : `${(parts.stays * 100).toFixed(1)} % of them`;
  steps.push(
    `${parts.own.length} of those that are used are in this node's zone, ${zone}: ${stay} stay there`,
  );
}

function backendText({ address, weight, share, endpoint, lastFailure }: BackendState): string {
  const slow = share < weight ? `, starting slowly at ${share.toFixed(1)}` : "";
  const failure = lastFailure === "" ? "" : `, last failure: ${lastFailure}`;
  return `backend ${address}, weight ${weight}${slow}, ${endpoint.inFlight} in flight${failure}`;
}
