// The port to an etcd cluster: the few calls that Crosspoint makes, in its own words. client.ts is the one
// implementation that talks to a server; test/support/fake-etcd.ts is one that lies on request.
//
// Knows: keys, values, revisions, leases. Does not know: routes, folders, what a value means.
//
// Revisions, lease ids and cluster ids are decimal texts on the wire (64 bits). Revisions are numbers here:
// etcd counts writes, and 2^53 of them take longer than anybody waits. Ids stay texts.

import type { RouterError } from "../model/errors.ts";

/**
 * A key as etcd has it: one character for each byte (latin1), so that any key, readable or not, has exactly
 * one form. All keys that Crosspoint writes are ASCII. See `shownKey` for messages.
 */
export type Key = string;

/** The half-open range [key, end); without `end` that one key. */
export interface KeyRange {
  readonly key: Key;
  readonly end?: Key;
}

export interface KeyValue {
  readonly key: Key;
  /** undefined: not UTF-8, or longer than `etcdValueBytesMax`, or only keys were asked for. */
  readonly text: string | undefined;
  /** Length of the value. */
  readonly bytes: number;
  readonly createRevision: number;
  readonly modRevision: number;
  /** Decimal; "0": none. */
  readonly lease: string;
}

/** What every answer of etcd carries: who answered, and how far it was. */
export interface EtcdHeader {
  readonly clusterId: string;
  readonly revision: number;
}

export interface RangeRequest extends KeyRange {
  readonly limit?: number;
  /** As of this revision; absent: now, linearizable. */
  readonly revision?: number;
  readonly keysOnly?: boolean;
}

export interface RangeAnswer {
  readonly header: EtcdHeader;
  readonly kvs: readonly KeyValue[];
  readonly more: boolean;
}

/** What must hold of a key for a transaction to succeed; revision 0: the key does not exist. */
export interface Compare {
  readonly key: Key;
  readonly target: "mod" | "create";
  readonly revision: number;
}

export type Operation =
  | { readonly kind: "put"; readonly key: Key; readonly value: string; readonly lease?: string }
  | ({ readonly kind: "delete" } & KeyRange)
  | ({ readonly kind: "range" } & RangeRequest);

export interface Transaction {
  readonly compare: readonly Compare[];
  readonly success: readonly Operation[];
  readonly failure: readonly Operation[];
}

export interface TransactionAnswer {
  readonly header: EtcdHeader;
  readonly succeeded: boolean;
  /** What each "range" of the branch that was taken found, in order. */
  readonly ranges: readonly RangeAnswer[];
}

export interface WatchRequest extends KeyRange {
  /** The first revision to be told; always explicit. */
  readonly startRevision: number;
}

export type WatchEvent =
  | { readonly kind: "put"; readonly kv: KeyValue }
  | { readonly kind: "delete"; readonly key: Key; readonly modRevision: number };

/** One message of a watch, as it arrives. */
export type WatchMessage =
  | { readonly kind: "created"; readonly header: EtcdHeader }
  | {
      readonly kind: "events";
      readonly header: EtcdHeader;
      readonly events: readonly WatchEvent[];
      /** More of the same answer follows; the cut may be inside one revision. */
      readonly fragment: boolean;
    }
  /** A sign of life and nothing else: before etcd 3.4.25 it can run ahead of events. */
  | { readonly kind: "progress"; readonly header: EtcdHeader }
  /** The server ended the watch; `compactRevision` > 0: what was asked for is gone. */
  | { readonly kind: "cancelled"; readonly compactRevision: number; readonly reason: string };

export interface WatchStream {
  /** Harmless when it has ended. After it no message arrives. */
  cancel(): void;
}

export interface EtcdStatus {
  /** "3.4.23". */
  readonly version: string;
  readonly header: EtcdHeader;
}

/**
 * Every call has a deadline and rejects with a RouterError that names the endpoint, the cause and what to do:
 *
 * | code | reason | means |
 * |---|---|---|
 * | store-unavailable | ETCD_UNREACHABLE | refused, reset, no leader, wrong certificate, plain text to TLS |
 * | store-unavailable | ETCD_TIMEOUT | no answer in time |
 * | store-unavailable | ETCD_AUTH | wrong user or password, or a permission is missing |
 * | store-unavailable | ETCD_VERSION | it answers, but not as an etcd of 3.4 or later |
 * | out-of-range | ETCD_COMPACTED | the revision that was asked for is gone |
 * | resource-exhausted | ETCD_NOSPACE | the database's quota is used up |
 * | resource-exhausted | ETCD_TOO_LARGE | the request or its answer is over a limit of etcd's or of the client's |
 *
 * After ETCD_UNREACHABLE and ETCD_TIMEOUT the outcome of a write is unknown.
 */
export interface Etcd {
  /** "http://h1:2379,http://h2:2379": no credentials. */
  readonly name: string;
  range(request: RangeRequest): Promise<RangeAnswer>;
  transact(transaction: Transaction): Promise<TransactionAnswer>;
  /** A lease of at least `seconds` (whole; a server has a minimum, commonly 2). */
  grantLease(seconds: number): Promise<{ readonly lease: string; readonly seconds: number }>;
  /** Renews once; the seconds granted, 0 when the lease is gone. */
  keepLeaseAlive(lease: string): Promise<number>;
  revokeLease(lease: string): Promise<void>;
  /**
   * Opens a watch with fragments and progress. `ended` is called once, when it is over for any reason
   * but `cancel`, after the last `message`.
   */
  watch(
    request: WatchRequest,
    message: (message: WatchMessage) => void,
    ended: (cause: RouterError) => void,
  ): WatchStream;
  status(): Promise<EtcdStatus>;
  close(): Promise<void>;
}

/** Where an etcd is and who we are to it. Credentials never appear in messages. */
export interface EtcdSetting {
  /** "http://10.0.0.5:2379", "https://etcd-1.internal:2379"; at least one, all of one cluster. */
  readonly endpoints: readonly string[];
  readonly user: string | undefined;
  /** A file with the password alone; undefined with a user: `password`. */
  readonly passwordFile: string | undefined;
  readonly password: string | undefined;
  /** PEM files. */
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
}

/** The end of the range of all keys that begin with `prefix` (not empty, not all 0xff). */
export function prefixEnd(prefix: Key): Key {
  const last = prefix.charCodeAt(prefix.length - 1);
  return last < 0xff
    ? prefix.slice(0, -1) + String.fromCharCode(last + 1)
    : prefixEnd(prefix.slice(0, -1));
}

/** For messages and lists: read as UTF-8, control characters and what is no text as "?". */
export function shownKey(key: Key): string {
  return (
    Buffer.from(key, "latin1")
      .toString("utf8")
      // oxlint-disable-next-line no-control-regex -- control characters are what this is about
      .replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufffd]/g, "?")
  );
}
