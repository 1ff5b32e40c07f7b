// The fields of a JSON object that we wrote ourselves, and that may have been damaged since: each with its type.
//
// Everything here throws "invalid-argument" naming the field by its path.

import { invalidField } from "../model/errors.ts";

/** An object of the text, and where in it. */
export interface ValueFields {
  /** "" for the outermost, else "match.": what comes before the names. */
  readonly path: string;
  readonly values: Readonly<Record<string, unknown>>;
}

export function parseFields(text: string): ValueFields {
  return asFields(JSON.parse(text), "", "value");
}

export function fieldsOf(fields: ValueFields, name: string): ValueFields {
  const path = `${fields.path}${name}`;
  return asFields(fields.values[name], `${path}.`, path);
}

export function textOf(fields: ValueFields, name: string): string {
  const value = fields.values[name];
  if (typeof value !== "string") throw invalidField(`${fields.path}${name}`, "is not a text");
  return value;
}

export function numberOf(fields: ValueFields, name: string): number {
  const value = fields.values[name];
  if (typeof value !== "number") throw invalidField(`${fields.path}${name}`, "is not a number");
  return value;
}

export function flagOf(fields: ValueFields, name: string): boolean {
  const value = fields.values[name];
  if (typeof value !== "boolean") {
    throw invalidField(`${fields.path}${name}`, "is not true or false");
  }
  return value;
}

/** A map of texts. */
export function textsOf(fields: ValueFields, name: string): Readonly<Record<string, string>> {
  const texts = fieldsOf(fields, name);
  return Object.fromEntries(Object.keys(texts.values).map((key) => [key, textOf(texts, key)]));
}

export function textListOf(fields: ValueFields, name: string): readonly string[] {
  return listOf(fields, name).map((value, index) => {
    if (typeof value === "string") return value;
    throw invalidField(`${fields.path}${name}[${index}]`, "is not a text");
  });
}

export function numberListOf(fields: ValueFields, name: string): readonly number[] {
  return listOf(fields, name).map((value, index) => {
    if (typeof value === "number") return value;
    throw invalidField(`${fields.path}${name}[${index}]`, "is not a number");
  });
}

export function fieldsListOf(fields: ValueFields, name: string): readonly ValueFields[] {
  return listOf(fields, name).map((value, index) => {
    const path = `${fields.path}${name}[${index}]`;
    return asFields(value, `${path}.`, path);
  });
}

/** What `read` makes of the field; undefined without it. */
export function optional<T>(
  fields: ValueFields,
  name: string,
  read: (fields: ValueFields, name: string) => T,
): T | undefined {
  return fields.values[name] === undefined ? undefined : read(fields, name);
}

/** One of the words that are known. */
export function oneOf<T extends string>(fields: ValueFields, name: string, known: readonly T[]): T {
  return knownWord(textOf(fields, name), known, `${fields.path}${name}`);
}

/** A list of such words. */
export function wordListOf<T extends string>(
  fields: ValueFields,
  name: string,
  known: readonly T[],
): readonly T[] {
  return textListOf(fields, name).map((word, index) =>
    knownWord(word, known, `${fields.path}${name}[${index}]`),
  );
}

function knownWord<T extends string>(written: string, known: readonly T[], field: string): T {
  const found = known.find((one) => one === written);
  if (found !== undefined) return found;
  throw invalidField(field, `${JSON.stringify(written)} is none of ${known.join(", ")}`);
}

function listOf(fields: ValueFields, name: string): readonly unknown[] {
  const value = fields.values[name];
  if (!Array.isArray(value)) throw invalidField(`${fields.path}${name}`, "is not a list");
  return value;
}

function asFields(value: unknown, path: string, field: string): ValueFields {
  if (!isRecord(value)) throw invalidField(field, "is not a JSON object");
  return { path, values: value };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
