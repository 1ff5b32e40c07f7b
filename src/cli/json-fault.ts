// Where in the JSON of a message something is wrong, and what would be right there: the deepest key that is no such
// value. The library that reads it names types and not places. Keys that nobody knows are refused before.

import {
  type DescEnum,
  type DescField,
  type DescMessage,
  fromJson,
  type JsonValue,
  ScalarType,
} from "@bufbuild/protobuf";
import { RouterError } from "../model/errors.ts";

export interface JsonFault {
  /** From the message on; empty: it is the message itself. */
  readonly path: readonly (string | number)[];
  /** "7 is not a text" */
  readonly description: string;
}

/** Undefined: it can be read. */
export function faultIn(descriptor: DescMessage, value: JsonValue): JsonFault | undefined {
  const reason = refusalOf(descriptor, value);
  if (reason === undefined) return undefined;
  if (descriptor.typeName === durationType) {
    return fault(value, 'is not a time that passes, such as "60s" or "1.5s"');
  }
  if (!isObject(value)) return fault(value, "is not a block of `key: value` lines");
  for (const [key, inner] of Object.entries(value)) {
    const field = descriptor.fields.find(({ name, jsonName }) => name === key || jsonName === key);
    if (field === undefined || refusalOf(descriptor, { [key]: inner }) === undefined) continue;
    return within(key, faultInField(field, inner));
  }
  return { path: [], description: reason };
}

const durationType = "google.protobuf.Duration";

function faultInField(field: DescField, value: JsonValue): JsonFault {
  switch (field.fieldKind) {
    case "message":
      return faultIn(field.message, value) ?? fault(value, "cannot stand here");
    case "list": {
      if (!Array.isArray(value)) return fault(value, "is not a list");
      return firstFault(field, [...value.entries()]) ?? fault(value, "cannot stand here");
    }
    case "map": {
      if (!isObject(value)) return fault(value, "is not a block of `key: value` lines");
      return firstFault(field, Object.entries(value)) ?? fault(value, "cannot stand here");
    }
    case "enum":
      return notOneOf(field.enum, value);
    default:
      return fault(value, `is not ${nounOf(field.scalar)}`);
  }
}

/** Of the elements of a list, or the values of a map. */
function firstFault(
  { message, enum: words, scalar }: DescField,
  entries: readonly (readonly [string | number, JsonValue])[],
): JsonFault | undefined {
  for (const [key, element] of entries) {
    if (message !== undefined) {
      const found = faultIn(message, element);
      if (found !== undefined) return within(key, found);
    } else if (words !== undefined) {
      if (!words.values.some(({ name }) => name === element)) {
        return within(key, notOneOf(words, element));
      }
    } else if (scalar === ScalarType.STRING && typeof element !== "string") {
      return within(key, fault(element, `is not ${nounOf(scalar)}`));
    }
  }
  return undefined;
}

function notOneOf({ values }: DescEnum, value: JsonValue): JsonFault {
  return fault(value, `is none of ${values.map(({ name }) => name).join(", ")}`);
}

function nounOf(scalar: ScalarType | undefined): string {
  if (scalar === ScalarType.STRING) return "a text: write it in quotes";
  return scalar === ScalarType.BOOL ? "true or false" : "a number that can stand here";
}

const within = (key: string | number, { path, description }: JsonFault): JsonFault => ({
  path: [key, ...path],
  description,
});

const fault = (value: JsonValue, description: string): JsonFault => ({
  path: [],
  description: `${shown(value)} ${description}`,
});

function shown(value: JsonValue): string {
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

/** What the library says; undefined: it reads it. */
function refusalOf(descriptor: DescMessage, value: JsonValue): string | undefined {
  try {
    fromJson(descriptor, value);
    return undefined;
  } catch (reason) {
    return RouterError.from(reason).message;
  }
}

function isObject(value: JsonValue): value is { [key: string]: JsonValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
