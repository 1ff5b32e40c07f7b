// One write of the table as one transaction of etcd. Pure.
//
// Knows: which keys a write touches, what each must still be, what is put beside them. Does not know: what
// happens when the answer is lost (etcd-commit).
//
// Every write of the API puts the guard and compares its revision, so all of them follow one another, whichever
// node they come from. What a hand writes does not touch the guard, so each touched key is compared as well.

import type { Compare, Key, Operation, Transaction } from "../etcd/etcd.ts";
import { etcdRequestBytesMax, etcdTransactionOperationsMax } from "../limits.ts";
import type { Backend } from "../model/backend.ts";
import type { Change } from "../model/change.ts";
import { RouterError, unreachable } from "../model/errors.ts";
import { type EtcdLayout, placeOfChange } from "./etcd-layout.ts";
import { encodeRoute } from "./etcd-route-values.ts";
import { encodeBackend, encodeService } from "./etcd-values.ts";

/** What a write leaves under a key. */
export interface Outcome {
  /** undefined: nothing. */
  readonly value: string | undefined;
  /** What the value is of, where it may have a lease. */
  readonly backend?: Backend;
}

/** By key: of several changes of one thing the last counts. */
export type Outcomes = ReadonlyMap<Key, Outcome>;

export function outcomesOf(changes: readonly Change[], layout: EtcdLayout): Outcomes {
  return new Map(changes.map((change) => [layout.entry(placeOfChange(change)), outcome(change)]));
}

function outcome(change: Change): Outcome {
  switch (change.kind) {
    case "route-put":
      return { value: encodeRoute(change.route) };
    case "service-put":
      return { value: encodeService(change.service) };
    case "backend-put":
      return { value: encodeBackend(change.backend), backend: change.backend };
    case "route-removed":
    case "service-removed":
    case "backend-removed":
      return { value: undefined };
    default:
      return unreachable(change);
  }
}

/** A put that comes with a write. */
export interface Companion {
  readonly key: Key;
  readonly value: string;
  readonly lease?: string;
}

/** How much of a transaction a write takes. `companions`: what is put beside the outcomes, the guard among them. */
export interface TransactionSize {
  readonly operations: number;
  readonly bytes: number;
}

export function sizeOf(
  outcomes: Outcomes,
  companions: readonly Companion[],
  compared: readonly Key[] = [],
): TransactionSize {
  const operations = outcomes.size + companions.length + compared.length;
  let bytes = 0;
  // Each key is compared, put or deleted, and asked for when the comparison fails.
  for (const [key, { value = "" }] of outcomes) bytes += 3 * key.length + byteLength(value);
  for (const { key, value } of companions) bytes += 3 * key.length + byteLength(value);
  for (const key of compared) bytes += 2 * key.length;
  return { operations, bytes: bytes + operations * bytesPerOperation };
}

export function fits({ operations, bytes }: TransactionSize): boolean {
  return operations <= etcdTransactionOperationsMax && bytes <= etcdRequestBytesMax;
}

/** Nothing was written, and nothing of this size can be. `why`: what stands in the way, if it is not the size alone. */
export function tooLarge(operations: number, bytes: number, why = ""): RouterError {
  return new RouterError(
    "resource-exhausted",
    `the change is too large for etcd${why}: ${operations} operations (one transaction takes ${etcdTransactionOperationsMax}), ${bytes} bytes (one takes ${etcdRequestBytesMax}); nothing was written: split it into several`,
    {
      reason: "CHANGE_TOO_LARGE",
      metadata: {
        operations: String(operations),
        operationsMax: String(etcdTransactionOperationsMax),
        bytes: String(bytes),
        bytesMax: String(etcdRequestBytesMax),
      },
    },
  );
}

/** Tags, lengths, revision and lease of a comparison, a put and a range in protobuf: about 60 bytes. */
const bytesPerOperation = 96;

function byteLength(text: string): number {
  return Buffer.byteLength(text, "utf8");
}

export interface TransactionParts {
  readonly outcomes: Outcomes;
  readonly companions: readonly Companion[];
  /** The lease of each backend with a TTL. */
  readonly leases: ReadonlyMap<Backend, string>;
  /** What must still be so; revision 0: nothing is there. */
  readonly compare: readonly Compare[];
}

/** When the comparison fails it asks for what was compared, in that order. */
export function transactionOf(parts: TransactionParts): Transaction {
  const { outcomes, companions, leases, compare } = parts;
  const changes = [...outcomes].map(([key, { value, backend }]): Operation => {
    if (value === undefined) return { kind: "delete", key };
    const lease = backend === undefined ? undefined : leases.get(backend);
    return { kind: "put", key, value, ...(lease === undefined ? {} : { lease }) };
  });
  return {
    compare,
    success: [...changes, ...companions.map((one): Operation => ({ kind: "put", ...one }))],
    failure: compare.map(({ key }): Operation => ({ kind: "range", key, keysOnly: true })),
  };
}
