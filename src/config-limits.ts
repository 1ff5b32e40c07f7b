// The limits that an operator may set: --limit NAME=VALUE, each over a constant of limits.ts.
//
// Knows: their names, how values are written, and which go together. Does not know who keeps them: the
// settings reach the workers as they are. docs/LIMITS.md gets its first table from `settableLimits`.

import { many, type ServeOption } from "./config-option.ts";
import { parseDuration } from "./config-values.ts";
import * as limits from "./limits.ts";
import { invalidField } from "./model/errors.ts";
import { didYouMean } from "./nearest.ts";

/** Constants of limits.ts that are replaced, by their names there; ms, bytes, numbers. */
export type LimitSettings = Readonly<Partial<Record<keyof typeof limits, number>>>;

export interface SettableLimit {
  /** Its constant in limits.ts: the default. */
  readonly limit: keyof typeof limits;
  readonly kind: "count" | "bytes" | "duration";
  readonly least: number;
  /** The largest value; undefined: any. */
  readonly most?: number;
  /** What `none` means; undefined: it may not be written. */
  readonly none?: number;
  /** What a client meets that is beyond it. */
  readonly beyond: string;
}

const kibibyte = 1024;
const none = limits.unlimited;
const roomText = "an idle one makes room, or reset";

export const settableLimits = {
  "head-bytes": bytes("headBytesMax", kibibyte, "431", { most: 1024 * kibibyte }),
  "head-fields": count("headFieldsMax", 8, "431", { most: 10_000 }),
  "target-bytes": bytes("targetBytesMax", 64, "414"),
  "body-bytes": bytes("bodyBytesMax", 0, "413", { none }),
  "trailer-bytes": bytes("trailerBytesMax", 0, "431", { most: 1024 * kibibyte }),
  "trailer-fields": count("trailerFieldsMax", 0, "431", { most: 10_000 }),
  "head-time": duration("requestHeadMsMax", 100, "408"),
  "preface-time": duration("prefaceMsMax", 100, "closed"),
  "body-idle-time": duration("bodyIdleMsMax", 100, "408, 504 or cut: whoever is silent"),
  "body-rate": bytes("bodyRateMin", 1, "408, or an answer that is cut", { none: 0 }),
  "body-rate-grace": duration("bodyRateGraceMs", 0, "see body-rate"),
  "idle-time": duration("downstreamIdleMsMax", 100, "closed"),
  "answer-time": duration("responseHeadMsMax", 100, "504", { none }),
  "connect-time": duration("connectMsMax", 10, "another backend, then 503"),
  "request-time": duration("requestMsMax", 100, "408, 504 or cut: whoever is late", {
    none,
  }),
  "requests-per-connection": count("requestsPerConnectionMax", 1, "`Connection: close`", {
    none,
  }),
  "connections-per-node": count("connectionsPerNodeMax", 1, roomText, { none }),
  "connections-per-listener": count("connectionsPerListenerMax", 1, roomText, { none }),
  "connections-per-address": count("connectionsPerAddressMax", 1, "reset", { none }),
  "upgraded-connections": count("upgradedConnectionsMax", 0, "503", { none }),
  "tunnel-idle-time": duration("tunnelIdleMsMax", 100, "cut", { none }),
  "tunnel-half-closed-time": duration("tunnelHalfClosedMsMax", 100, "cut", { none }),
  "client-ended-time": duration("clientEndedMsMax", 100, "499, or cut", { none }),
  "unsent-bytes": bytes("unsentBytesMax", kibibyte, "the sender waits", {
    most: 1024 * kibibyte * kibibyte,
    none,
  }),
} as const satisfies Readonly<Record<string, SettableLimit>>;

export type LimitName = keyof typeof settableLimits;

const constants: Readonly<Record<keyof typeof limits, number>> = limits;
const names = Object.keys(settableLimits);

/** `--limit`, repeatable. */
export const limitOption: ServeOption<LimitSettings> = {
  ...many(
    "limit",
    "NAME=VALUE",
    "a limit, such as head-time=5s, body-bytes=10MiB or body-rate=none; docs/LIMITS.md lists them",
    parseLimit,
    { fallback: "what docs/LIMITS.md says of each" },
  ),
  read: (texts, source) => readLimits(texts, source),
};

interface Given {
  readonly name: LimitName;
  readonly value: number;
}

function readLimits(texts: readonly string[], source: string): LimitSettings {
  const given = new Map<LimitName, number>();
  for (const { name, value } of texts.map((text) => parseLimit(text, source))) {
    if (given.has(name)) throw invalidField(source, `${name} is set twice`);
    given.set(name, value);
  }
  for (const [lower, higher] of ordered) refuseDisorder(given, lower, higher, source);
  return Object.fromEntries([...given].map(([name, value]) => [settableLimits[name].limit, value]));
}

/** What is below what: otherwise the first could never be met, or the second would always be. */
const ordered: readonly (readonly [LimitName, LimitName])[] = [
  ["target-bytes", "head-bytes"],
  ["connections-per-address", "connections-per-listener"],
  ["connections-per-listener", "connections-per-node"],
  ["upgraded-connections", "connections-per-node"],
];

/** @param given One of the two must be among them: defaults go together, whatever the machine adds. */
function refuseDisorder(
  given: ReadonlyMap<LimitName, number>,
  lower: LimitName,
  higher: LimitName,
  source: string,
): void {
  const low = given.get(lower) ?? defaultOf(lower);
  const high = given.get(higher) ?? defaultOf(higher);
  // None of the lower one is as much as the higher one allows.
  if (low === limits.unlimited || low < high) return;
  if (low === high && lower !== "target-bytes") return;
  const [first, second, than] = given.has(lower)
    ? [lower, higher, "not below"]
    : [higher, lower, "not above"];
  const shown = (name: LimitName): string =>
    `${name}${given.has(name) ? "" : ` (by default ${defaultOf(name)})`}`;
  throw invalidField(source, `${shown(first)} is ${than} ${shown(second)}`);
}

function defaultOf(name: LimitName): number {
  return constants[settableLimits[name].limit];
}

/** "head-time=5s". */
function parseLimit(text: string, source: string): Given {
  const [, word = "", written = ""] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  if (word === "") {
    throw invalidField(source, `${JSON.stringify(text)} is not NAME=VALUE, such as head-time=5s`);
  }
  if (!isLimitName(word)) {
    throw invalidField(source, `${JSON.stringify(word)} is not a limit${didYouMean(word, names)}`);
  }
  return { name: word, value: parseValue(word, written.trim(), `${source} ${word}`) };
}

function isLimitName(word: string): word is LimitName {
  return Object.hasOwn(settableLimits, word);
}

function parseValue(name: LimitName, text: string, source: string): number {
  const { kind, least, most, none: unbounded }: SettableLimit = settableLimits[name];
  if (text === "none") {
    if (unbounded !== undefined) return unbounded;
    throw invalidField(source, `cannot be none: it bounds what one client may cost`);
  }
  const value = kind === "duration" ? parseDuration(text, source) : parseNumber(text, kind, source);
  if (value < least) throw invalidField(source, `${text} is less than ${shownAs(kind, least)}`);
  if (most !== undefined && value > most) {
    throw invalidField(source, `${text} is more than ${shownAs(kind, most)}`);
  }
  return value;
}

const units: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  KiB: kibibyte,
  MiB: kibibyte ** 2,
  GiB: kibibyte ** 3,
};

function parseNumber(text: string, kind: "count" | "bytes", source: string): number {
  const [, digits, unit = ""] = /^(\d{1,12})([KMG]iB|B)?$/.exec(text) ?? [];
  if (digits === undefined || (kind === "count" && unit !== "")) {
    const expected =
      kind === "bytes" ? "a number of bytes, such as 4096, 16KiB or 10MiB" : "a whole number";
    throw invalidField(source, `${JSON.stringify(text)} is not ${expected}`);
  }
  return Number(digits) * (units[unit] ?? 1);
}

function shownAs(kind: SettableLimit["kind"], value: number): string {
  return kind === "duration" ? `${value}ms` : String(value);
}

type Extra = Pick<SettableLimit, "most" | "none">;
type Row = readonly [limit: keyof typeof limits, least: number, beyond: string, extra?: Extra];

function count(...row: Row): SettableLimit {
  return rowOf("count", row);
}

function bytes(...row: Row): SettableLimit {
  return rowOf("bytes", row);
}

function duration(...row: Row): SettableLimit {
  return rowOf("duration", row);
}

function rowOf(kind: SettableLimit["kind"], [limit, least, beyond, extra]: Row): SettableLimit {
  return { limit, kind, least, beyond, ...extra };
}
