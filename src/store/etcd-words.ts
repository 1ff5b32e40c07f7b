// The words of proto3 JSON that several kinds of entry share: times, durations, choices, labels.

import { invalidField } from "../model/errors.ts";
import type { Labels } from "../model/names.ts";
import type { JsonFields } from "./etcd-json.ts";

/** What is written must be what the key says. */
export function agree(
  fields: JsonFields,
  name: string,
  written: string | undefined,
  ofKey: string,
): void {
  if (written === undefined || written === "" || written === ofKey) return;
  const shown = JSON.stringify(written.slice(0, 80).toWellFormed());
  throw invalidField(fields.path(name), `${shown} disagrees with the key, which says "${ofKey}"`);
}

export function encodedLabels(labels: Labels): object {
  return Object.keys(labels).length === 0 ? {} : { labels };
}

/** One of `choices` by its name or number; `noun` is what they are. */
export function decodedChoice<T>(
  fields: JsonFields,
  field: string,
  noun: string,
  choices: readonly (readonly [string, T])[],
): T | undefined {
  return choiceOf(fields.choice(field) ?? 0, choices, noun, fields.path(field));
}

/** As `decodedChoice`, of what was written at `path`. */
export function choiceOf<T>(
  written: string | number,
  choices: readonly (readonly [string, T])[],
  noun: string,
  path: string,
): T {
  const found = choices.find(([name], number) => written === name || written === number);
  if (found !== undefined) return found[1];
  const names = choices.map(([name]) => name).join(", ");
  const shown = JSON.stringify(String(written).slice(0, 60).toWellFormed());
  throw invalidField(path, `${shown} is not a ${noun} that this version knows (${names})`);
}

/** 0: never told. */
export function encodedTime(name: string, timeMs: number): object {
  return timeMs === 0 ? {} : { [name]: new Date(timeMs).toISOString() };
}

/** RFC 3339, from the year 1 on (google.protobuf.Timestamp), to the millisecond; 0 when there is none. */
export function decodedTime(fields: JsonFields, name: string): number {
  const text = fields.text(name);
  if (text === undefined) return 0;
  const timeMs = timePattern.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(timeMs)) {
    const shown = JSON.stringify(text.slice(0, 60));
    throw invalidField(fields.path(name), `${shown} is not a time such as 2026-01-31T12:00:00Z`);
  }
  return timeMs;
}

const timePattern = /^(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;

/** google.protobuf.Duration: "10s", "1.5s"; nothing without one. */
export function encodedDuration(name: string, ms: number | undefined): object {
  return ms === undefined ? {} : { [name]: `${ms / 1_000}s` };
}

/** google.protobuf.Duration: "10s", "1.5s"; rounded up to a whole ms. */
export function decodedDuration(fields: JsonFields, name: string): number | undefined {
  const text = fields.text(name);
  if (text === undefined) return undefined;
  const [, seconds = "", fraction = ""] = /^(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(text) ?? [];
  const ms = Number(seconds) * 1000 + Math.ceil(Number(fraction.padEnd(9, "0")) / 1e6);
  if (seconds !== "" && ms > 0) return ms;
  const shown = JSON.stringify(text.slice(0, 60));
  throw invalidField(fields.path(name), `${shown} is not a time that passes, such as "10s"`);
}

/** What an object says; undefined without it. */
export function inObject<T>(
  fields: JsonFields,
  name: string,
  read: (inner: JsonFields) => T,
): T | undefined {
  const inner = fields.object(name);
  return inner === undefined ? undefined : whole(inner, read(inner));
}

/** Once everything was read, nothing may be left. */
export function whole<T>(fields: JsonFields, value: T): T {
  fields.refuseOthers();
  return value;
}
