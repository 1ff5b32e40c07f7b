// Messages in proto3 canonical JSON, by the descriptors of the image.
//
// ts-proto's own JSON is not canonical (it answers a Duration as an object, and reads "1.5s" as 0), so
// messages cross over as bytes and @bufbuild/protobuf does the rest.

import { readFileSync } from "node:fs";
import {
  createFileRegistry,
  type DescMessage,
  type FileRegistry,
  fromBinary,
  fromJson,
  type JsonValue,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { assert } from "../model/errors.ts";
import { faultIn, type JsonFault } from "./json-fault.ts";

/** ts-proto's side of a message type, as far as it is needed here. */
export interface Coder<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

/** What may stand in a message's JSON. */
export interface JsonField {
  /** lowerCamelCase, as it is written. */
  readonly jsonName: string;
  /** As in the proto file; accepted as well. */
  readonly protoName: string;
  /** The type of the message inside, or of each in the list, if it has fields of its own. */
  readonly message: string | undefined;
  readonly kind: "scalar" | "enum" | "message" | "list" | "map";
}

/** A message of crosspoint.v1 with every field, so that a script finds each where it expects it. */
export function messageToJson<T>(type: string, coder: Coder<T>, message: T): JsonValue {
  return json(type, coder, message, true);
}

/** A message of crosspoint.v1 with only what is set: the form that `apply` files have. */
export function messageToShortJson<T>(type: string, coder: Coder<T>, message: T): JsonValue {
  return json(type, coder, message, false);
}

/** The other way round. Throws what the field names, in one sentence. */
export function messageFromJson<T>(type: string, coder: Coder<T>, value: unknown): T {
  const descriptor = descriptorOf(type);
  assert(isJson(value), "the value came from JSON or YAML");
  return coder.decode(toBinary(descriptor, fromJson(descriptor, value)));
}

/** What is wrong in JSON that `messageFromJson` refuses, and where. */
export function faultOf(type: string, value: unknown): JsonFault | undefined {
  assert(isJson(value), "the value came from JSON or YAML");
  return faultIn(descriptorOf(type), value);
}

/** The fields of a message type of crosspoint.v1. */
export function jsonFieldsOf(type: string): readonly JsonField[] {
  return descriptorOf(type).fields.map((field) => ({
    jsonName: field.jsonName,
    protoName: field.name,
    message:
      (field.fieldKind === "message" || field.fieldKind === "list") &&
      field.message?.typeName.startsWith(packagePrefix) === true
        ? field.message.typeName.slice(packagePrefix.length)
        : undefined,
    kind: field.fieldKind,
  }));
}

const packagePrefix = "crosspoint.v1.";

let registry: FileRegistry | undefined;

function descriptorOf(type: string): DescMessage {
  registry ??= createFileRegistry(
    fromBinary(
      FileDescriptorSetSchema,
      readFileSync(new URL("../gen/image.binpb", import.meta.url)),
    ),
  );
  const descriptor = registry.getMessage(`${packagePrefix}${type}`);
  assert(descriptor !== undefined, `the image has the message ${packagePrefix}${type}`);
  return descriptor;
}

function json<T>(
  type: string,
  coder: Coder<T>,
  message: T,
  alwaysEmitImplicit: boolean,
): JsonValue {
  const descriptor = descriptorOf(type);
  return toJson(descriptor, fromBinary(descriptor, coder.encode(message).finish()), {
    alwaysEmitImplicit,
  });
}

function isJson(value: unknown): value is JsonValue {
  return value === null || ["string", "number", "boolean", "object"].includes(typeof value);
}
