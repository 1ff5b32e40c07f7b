// The copy of what is followed, on disk: a node starts from it while its etcd is away.
//
// Lines of JSON: a head, the entries, the last good values of entries that cannot be read, and the SHA-256 of
// all that. A reader gets the whole of it or a reason. Written beside, synced, then renamed: a crash at any
// moment leaves the old copy or the new one. Both ways work in pieces, so that traffic's neighbour on the
// main thread is never kept waiting.
//
// Knows: files and this format. Does not know: when to write, what the values mean.

import { createHash } from "node:crypto";
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { etcdKeysPerTurn } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import type { System } from "../system.ts";
import type { KeyRange, KeyValue } from "./etcd.ts";

/** What a follower knew, as of one revision. */
export interface Copy {
  readonly clusterId: string;
  /** See `Followed.revision`. */
  readonly revision: number;
  /** The newest revision of the cluster that any answer named. */
  readonly headerRevision: number;
  readonly entries: readonly KeyValue[];
  /** Values that served before theirs in `entries`, which could not be read. */
  readonly good: readonly KeyValue[];
  /** Keys of `entries` that could not be read. */
  readonly unreadable: readonly string[];
}

export type ReadCopy =
  | { readonly kind: "copy"; readonly copy: Copy }
  | { readonly kind: "none" }
  /** There is something, but it is not a whole copy of this range. */
  | { readonly kind: "bad"; readonly why: string };

/** Changes whenever an older program could misread a newer file. */
const formatVersion = 1;
const formatName = "crosspoint-etcd-copy";

interface Head {
  readonly format: string;
  readonly version: number;
  readonly key: string;
  readonly end: string | undefined;
  readonly clusterId: string;
  readonly revision: number;
  readonly headerRevision: number;
  readonly entries: number;
  readonly good: number;
  readonly unreadable: readonly string[];
}

export class CopyFile {
  readonly path: string;
  readonly #range: KeyRange;
  readonly #system: System;

  /** `range` is what the copy is of: a copy of another range is "bad". */
  constructor(path: string, range: KeyRange, system: System) {
    this.path = path;
    this.#range = range;
    this.#system = system;
  }

  /** Replaces what was there. Rejects with the system's error; the old copy is then still there. */
  async write(copy: Copy): Promise<void> {
    const temporary = `${this.path}.new`;
    await mkdir(dirname(this.path), { recursive: true, mode: 0o700 });
    const file = await open(temporary, "w", 0o600);
    try {
      await file.chmod(0o600); // it may have been there, with another mode
      const hash = createHash("sha256");
      for (const piece of this.#pieces(copy)) {
        hash.update(piece);
        await file.appendFile(piece); // each await lets the event loop turn
      }
      await file.appendFile(`${hash.digest("hex")}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, this.path);
    await syncDirectory(dirname(this.path));
  }

  /** Never rejects. */
  async read(): Promise<ReadCopy> {
    let bytes: Buffer;
    try {
      bytes = await readFile(this.path);
    } catch (error) {
      if (isMissing(error)) return { kind: "none" };
      return { kind: "bad", why: RouterError.from(error).message };
    }
    try {
      return { kind: "copy", copy: await this.#parse(bytes) };
    } catch (error) {
      return { kind: "bad", why: RouterError.from(error).message };
    }
  }

  /** Out of the way of the next copy, for somebody who wants to look: the new name, undefined when that fails. */
  async moveAside(): Promise<string | undefined> {
    const aside = `${this.path}.bad`;
    try {
      await rename(this.path, aside);
      return aside;
    } catch {
      return undefined;
    }
  }

  *#pieces(copy: Copy): Generator<string> {
    const { key, end } = this.#range;
    const { clusterId, revision, headerRevision, entries, good, unreadable } = copy;
    const head = {
      format: formatName,
      version: formatVersion,
      key,
      end,
      clusterId,
      revision,
      headerRevision,
      entries: entries.length,
      good: good.length,
      unreadable,
    };
    yield `${JSON.stringify(head)}\n`;
    yield* linesOf(entries);
    yield* linesOf(good);
  }

  async #parse(bytes: Buffer): Promise<Copy> {
    const head = parseHead(bytes);
    const { key, end } = this.#range;
    if (head.key !== key || head.end !== end) {
      throw wrong(`it is a copy of ${head.key}, not of ${key}`);
    }
    const kvs = await this.#parseLines(await this.#checked(bytes));
    if (kvs.length !== head.entries + head.good) throw wrong("lines are missing");
    const { clusterId, revision, headerRevision, unreadable } = head;
    const [entries, good] = [kvs.slice(0, head.entries), kvs.slice(head.entries)];
    return { clusterId, revision, headerRevision, entries, good, unreadable };
  }

  /** Everything but the checksum, once that is found to be right. */
  async #checked(bytes: Buffer): Promise<Buffer> {
    const body = bytes.subarray(0, Math.max(0, bytes.length - checksumBytes));
    const hash = createHash("sha256");
    for (let at = 0; at < body.length; at += hashedPerTurn) {
      hash.update(body.subarray(at, at + hashedPerTurn));
      await this.#turn();
    }
    const found = bytes.subarray(body.length).toString("latin1");
    if (found !== `${hash.digest("hex")}\n`) {
      throw wrong("its checksum is not that of its content: it was cut or changed");
    }
    return body;
  }

  /** The lines after the head. */
  async #parseLines(body: Buffer): Promise<KeyValue[]> {
    const kvs: KeyValue[] = [];
    for (let at = body.indexOf(10) + 1; at < body.length; ) {
      const end = body.indexOf(10, at);
      kvs.push(parseLine(body.subarray(at, end === -1 ? body.length : end).toString("utf8")));
      if (kvs.length % etcdKeysPerTurn === 0) await this.#turn();
      at = end === -1 ? body.length : end + 1;
    }
    return kvs;
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#system.atTurnEnd(resolve));
  }
}

/** 64 hexadecimal digits and the end of the line. */
const checksumBytes = 65;
/** Bytes hashed in one turn: about a millisecond. */
const hashedPerTurn = 1024 * 1024;
/** Characters encoded in one turn: about a millisecond; a single value may be longer. */
const pieceCharacters = 256 * 1024;

function* linesOf(kvs: readonly KeyValue[]): Generator<string> {
  let piece = "";
  for (const kv of kvs) {
    piece += `${JSON.stringify(rowOf(kv))}\n`;
    if (piece.length < pieceCharacters) continue;
    yield piece;
    piece = "";
  }
  if (piece !== "") yield piece;
}

/** A text that is no value stands as a number. */
function rowOf(kv: KeyValue): unknown[] {
  return [kv.key, kv.text ?? 0, kv.bytes, kv.createRevision, kv.modRevision, kv.lease];
}

function parseLine(line: string): KeyValue {
  const row: unknown = JSON.parse(line);
  if (!Array.isArray(row)) throw wrong("a line is no entry");
  const [key, text, bytes, createRevision, modRevision, lease] = row as readonly unknown[];
  if (
    typeof key !== "string" ||
    typeof bytes !== "number" ||
    typeof createRevision !== "number" ||
    typeof modRevision !== "number" ||
    typeof lease !== "string"
  ) {
    throw wrong("a line is no entry");
  }
  const value = typeof text === "string" ? text : undefined;
  return { key, text: value, bytes, createRevision, modRevision, lease };
}

/** The head names format and version before the checksum is asked: those of another version may end otherwise. */
function parseHead(bytes: Buffer): Head {
  const end = bytes.indexOf(10);
  const head: unknown = parseJson(bytes.subarray(0, end === -1 ? 0 : end).toString("utf8"));
  if (!isRecord(head) || head["format"] !== formatName) {
    throw wrong("it is not a copy of an etcd, or its first line was cut");
  }
  if (head["version"] !== formatVersion) {
    throw wrong(
      `it has format ${String(head["version"])}; this version reads format ${formatVersion}`,
    );
  }
  if (!isHead(head)) throw wrong("its first line is incomplete");
  return head;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isHead(head: Record<string, unknown>): head is Record<string, unknown> & Head {
  const { key, end, clusterId, unreadable } = head;
  return (
    typeof key === "string" &&
    (end === undefined || typeof end === "string") &&
    typeof clusterId === "string" &&
    ["revision", "headerRevision", "entries", "good"].every((name) => isCount(head[name])) &&
    Array.isArray(unreadable)
  );
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function wrong(why: string): RouterError {
  return new RouterError("internal", why);
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

/** A rename is on disk once its directory is. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
