// Between the port's words and etcd's messages: keys as bytes, 64-bit numbers as texts, what was found as plain
// values that keep no message alive.
//
// Knows: the shape of etcd's protobuf messages as etcd3 hands them out. Does not know: calls, connections.

import { isUtf8 } from "node:buffer";
import { etcdValueBytesMax } from "../limits.ts";
import { unreachable } from "../model/errors.ts";
import type {
  Compare,
  EtcdHeader,
  Key,
  KeyRange,
  KeyValue,
  Operation,
  RangeAnswer,
  RangeRequest,
  Transaction,
  TransactionAnswer,
  WatchEvent,
  WatchMessage,
  WatchRequest,
} from "./etcd.ts";
import { shownKey } from "./etcd.ts";

/** Messages as they arrive; only what is read here. */
interface WireHeader {
  readonly cluster_id: string;
  readonly revision: string;
}

interface WireKeyValue {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly create_revision: string;
  readonly mod_revision: string;
  readonly lease: string;
}

interface WireRange {
  readonly header: WireHeader | null;
  readonly kvs: readonly WireKeyValue[];
  readonly more: boolean;
}

interface WireTransaction {
  readonly header: WireHeader;
  readonly succeeded: boolean;
  readonly responses: readonly { readonly response_range?: WireRange | null }[];
}

interface WireWatch {
  readonly header: WireHeader;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly compact_revision: string;
  readonly cancel_reason?: string;
  readonly fragment?: boolean;
  readonly events: readonly { readonly type: string; readonly kv: WireKeyValue }[];
}

/** CompareResult.EQUAL and CompareTarget of etcd's rpc.proto. */
const compareEqual = 0;
const compareTarget = { create: 1, mod: 2 } as const;

/** Messages as they are sent. */
export function rangeMessage(request: RangeRequest) {
  return {
    ...rangeKeys(request),
    ...(request.limit === undefined ? {} : { limit: request.limit }),
    ...(request.revision === undefined ? {} : { revision: request.revision }),
    ...(request.keysOnly === undefined ? {} : { keys_only: request.keysOnly }),
  };
}

export function transactionMessage(transaction: Transaction) {
  return {
    compare: transaction.compare.map(compareMessage),
    success: transaction.success.map(operationMessage),
    failure: transaction.failure.map(operationMessage),
  };
}

export function watchMessage(request: WatchRequest) {
  return {
    create_request: {
      ...rangeKeys(request),
      start_revision: request.startRevision,
      progress_notify: true,
      prev_kv: false,
      fragment: true,
    },
  };
}

export function rangeAnswer(
  wire: WireRange,
  { keysOnly = false }: RangeRequest,
  header = wire.header,
): RangeAnswer {
  const kvs = wire.kvs.map(keyValueOf);
  return {
    header: headerOf(header),
    kvs: keysOnly ? kvs.map((kv) => ({ ...kv, text: undefined })) : kvs,
    more: wire.more,
  };
}

export function transactionAnswer(
  wire: WireTransaction,
  { success, failure }: Transaction,
): TransactionAnswer {
  const asked = wire.succeeded ? success : failure;
  const ranges = wire.responses.flatMap(({ response_range: range }, index) => {
    const operation = asked[index];
    if (range === undefined || range === null || operation?.kind !== "range") return [];
    // etcd leaves the header inside a transaction without cluster.
    return [rangeAnswer(range, operation, wire.header)];
  });
  return { header: headerOf(wire.header), succeeded: wire.succeeded, ranges };
}

/** One answer of a watch. etcd says "created" and "canceled" in one when it refuses a watch. */
export function watchAnswer(wire: WireWatch): WatchMessage {
  const header = headerOf(wire.header);
  if (wire.canceled) {
    return {
      kind: "cancelled",
      compactRevision: Number(wire.compact_revision),
      reason: wire.cancel_reason ?? "",
    };
  }
  if (wire.created) return { kind: "created", header };
  if (wire.events.length === 0) return { kind: "progress", header };
  const events = wire.events.map(({ type, kv }) => eventOf(type, kv));
  return { kind: "events", header, events, fragment: wire.fragment === true };
}

export function headerOf(wire: WireHeader | null): EtcdHeader {
  return { clusterId: wire?.cluster_id ?? "0", revision: Number(wire?.revision ?? 0) };
}

/** "range of /crosspoint/…", for messages. */
export function shownRange({ key, end }: KeyRange): string {
  return end === undefined ? shownKey(key) : `${shownKey(key)}…`;
}

/** What a transaction touches first, for messages. */
export function shownTransaction({ compare, success, failure }: Transaction): string {
  const first = success.find(({ kind }) => kind !== "range") ?? success[0] ?? failure[0];
  const key = first?.key ?? compare[0]?.key ?? "";
  const count = compare.length + success.length + failure.length;
  return count > 1 ? `${shownKey(key)} and ${count - 1} more` : shownKey(key);
}

function eventOf(type: string, kv: WireKeyValue): WatchEvent {
  return type.toUpperCase() === "DELETE"
    ? { kind: "delete", key: keyOf(kv.key), modRevision: Number(kv.mod_revision) }
    : { kind: "put", kv: keyValueOf(kv) };
}

function keyValueOf(wire: WireKeyValue): KeyValue {
  return {
    key: keyOf(wire.key),
    text: textOf(wire.value),
    bytes: wire.value.length,
    createRevision: Number(wire.create_revision),
    modRevision: Number(wire.mod_revision),
    lease: wire.lease,
  };
}

/** A copy: the bytes are a window into the whole message, up to 64 MiB. */
function textOf(value: Buffer): string | undefined {
  return value.length <= etcdValueBytesMax && isUtf8(value) ? value.toString("utf8") : undefined;
}

function keyOf(bytes: Buffer): Key {
  return bytes.toString("latin1");
}

function bytesOf(key: Key): Buffer {
  return Buffer.from(key, "latin1");
}

function rangeKeys({ key, end }: KeyRange) {
  return end === undefined ? { key: bytesOf(key) } : { key: bytesOf(key), range_end: bytesOf(end) };
}

function compareMessage({ key, target, revision }: Compare) {
  return {
    key: bytesOf(key),
    result: compareEqual,
    target: compareTarget[target],
    ...(target === "mod" ? { mod_revision: revision } : { create_revision: revision }),
  };
}

function operationMessage(operation: Operation) {
  switch (operation.kind) {
    case "put":
      return {
        request_put: {
          key: bytesOf(operation.key),
          value: Buffer.from(operation.value, "utf8"),
          ...(operation.lease === undefined ? {} : { lease: operation.lease }),
        },
      };
    case "delete":
      return { request_delete_range: rangeKeys(operation) };
    case "range":
      return { request_range: rangeMessage(operation) };
    default:
      return unreachable(operation);
  }
}
