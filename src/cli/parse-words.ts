// What is written on the command line to the parts of a request. Only the shape is checked here; names,
// domains and addresses are the node's to judge.

import { parseDuration } from "../config-values.ts";
import { type HealthCheck, HttpMatch, type Route } from "../gen/crosspoint/v1/router.ts";
import type { Duration } from "../gen/google/protobuf/duration.ts";
import { type Flags, textOf } from "./command.ts";
import { usageError } from "./failure.ts";

/** "tcp:5432", "tcp" (any free port), "app.example.com/api". */
export function parseMatch(text: string): NonNullable<Route["match"]> {
  if (text === "tcp") return { $case: "tcp", value: { port: 0 } };
  if (text.startsWith("tcp:")) {
    return { $case: "tcp", value: { port: parsePortWord(text.slice("tcp:".length), text) } };
  }
  const url = /^[a-z][a-z0-9+.-]*:\/\/(.*)$/i.exec(text);
  if (url !== null) {
    throw usageError(`MATCH: ${JSON.stringify(text)} is a URL; write ${url[1] ?? "DOMAIN/PATH"}`);
  }
  return { $case: "http", value: HttpMatch.fromPartial(parseDomainPath(text)) };
}

/** "app.example.com/api" in two: the path is what begins at the first slash. */
export function parseDomainPath(text: string): {
  readonly domain: string;
  readonly pathPrefix: string;
} {
  const slash = text.indexOf("/");
  if (slash === -1) return { domain: text, pathPrefix: "" };
  return { domain: text.slice(0, slash), pathPrefix: text.slice(slash) };
}

/** 1 to 65535. */
export function parsePortWord(text: string, shown: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) {
    throw usageError(
      `${JSON.stringify(shown)}: ${JSON.stringify(text)} is not a port (1 to 65535)`,
    );
  }
  return port;
}

/** key=value words to a map. Throws "invalid-argument" naming `flag`. */
export function pairsOf(words: readonly string[], flag: string): Record<string, string> {
  const pairs = new Map<string, string>();
  for (const word of words) {
    const equals = word.indexOf("=");
    if (equals < 1) throw usageError(`${flag}: ${JSON.stringify(word)} is not KEY=VALUE`);
    const key = word.slice(0, equals);
    if (pairs.has(key)) throw usageError(`${flag}: ${JSON.stringify(key)} is given twice`);
    if (key === "__proto__") throw usageError(`${flag}: "__proto__" cannot be a key`);
    pairs.set(key, word.slice(equals + 1));
  }
  return Object.fromEntries(pairs);
}

/** "http:/healthz", "tcp", "grpc", "grpc:SERVICE". Throws "invalid-argument" naming `source`. */
export function parseCheck(text: string, source: string): NonNullable<HealthCheck["probe"]> {
  const colon = text.indexOf(":");
  const kind = colon === -1 ? text : text.slice(0, colon);
  const rest = colon === -1 ? "" : text.slice(colon + 1);
  if (kind === "http" && rest.startsWith("/")) {
    return {
      $case: "http",
      value: { path: rest, host: "", expectedStatuses: [], expectedBody: "" },
    };
  }
  if (text === "tcp") return { $case: "tcp", value: {} };
  if (text === "grpc" || (kind === "grpc" && rest !== "")) {
    return { $case: "grpc", value: { service: rest } };
  }
  throw usageError(`${source}: ${JSON.stringify(text)} is not http:/PATH, tcp or grpc[:SERVICE]`);
}

/** A count of a flag, whole and at least `min`. */
export function parseNumberWord(text: string, flag: string, min: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : -1;
  if (value < min) {
    throw usageError(`${flag}: ${JSON.stringify(text)} is not a whole number from ${min} on`);
  }
  return value;
}

/** A count of a flag that fits into 32 bits; 0: it was not given. */
export function countOf(flags: Flags, name: string): number {
  const word = textOf(flags, name);
  if (word === undefined) return 0;
  const count = parseNumberWord(word, `--${name}`, 1);
  if (count < 2 ** 32) return count;
  throw usageError(`--${name}: ${JSON.stringify(word)} is too many`);
}

/** A flag's duration; undefined: it was not given. */
export function timeOf(flags: Flags, name: string): Duration | undefined {
  const word = textOf(flags, name);
  return word === undefined ? undefined : durationOf(parseDuration(word, `--${name}`));
}

export function durationOf(ms: number): Duration {
  return { seconds: BigInt(Math.floor(ms / 1_000)), nanos: (ms % 1_000) * 1_000_000 };
}
