// Reads a whole range of an etcd at one revision, page by page.
//
// Knows: pages, that a page may be too large for an answer, that a revision may be compacted meanwhile.
// Does not know: what the keys are compared with.

import { etcdListTriesMax, etcdPageBytes, etcdPageKeysFirst, etcdPageKeysMax } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import type { Etcd, EtcdHeader, KeyRange, KeyValue, RangeAnswer } from "./etcd.ts";

/** Takes a list as it arrives. */
export interface ListReader {
  /** A list begins; what was seen before counts no longer. */
  begin(): void;
  /** In the order of the keys, each once. */
  see(kv: KeyValue): void;
}

export interface ListerOptions {
  readonly etcd: Etcd;
  readonly range: KeyRange;
  /** Inside `range`, with an `end`: never listed. */
  readonly skip: KeyRange | undefined;
}

/** Bytes of a key and its numbers beside the value, roughly. */
const kvBytes = 128;

/** Lists one range again and again, and remembers how large a page may be. */
export class Lister {
  readonly #etcd: Etcd;
  readonly #ranges: readonly KeyRange[];
  #pageKeys = etcdPageKeysFirst;

  constructor({ etcd, range, skip }: ListerOptions) {
    this.#etcd = etcd;
    this.#ranges = skip === undefined ? [range] : around(range, skip);
  }

  /**
   * Reads everything as of one revision, that of the answer. A revision that is compacted meanwhile, or
   * another cluster that answers, starts it over. Rejects as `Etcd.range` does.
   */
  async list(
    reader: ListReader,
    options: { readonly keysOnly: boolean; readonly signal: AbortSignal },
  ): Promise<EtcdHeader> {
    for (let tries = 1; ; tries++) {
      reader.begin();
      try {
        const header = await this.#once(reader, options);
        if (header !== undefined) return header;
      } catch (error) {
        if (!isCompacted(error)) throw error;
      }
      if (tries < etcdListTriesMax) continue;
      throw new RouterError(
        "store-unavailable",
        `${this.#etcd.name}: a list lost its revision ${tries} times: it is compacted faster than it can be read, or its endpoints are of different clusters`,
      );
    }
  }

  /** Undefined: pages came from two clusters. */
  async #once(
    reader: ListReader,
    { keysOnly, signal }: { readonly keysOnly: boolean; readonly signal: AbortSignal },
  ): Promise<EtcdHeader | undefined> {
    let header: EtcdHeader | undefined;
    for (const range of this.#ranges) {
      let from = range;
      for (;;) {
        const page = await this.#page({ ...from, keysOnly, ...atRevision(header) });
        signal.throwIfAborted();
        header ??= page.header;
        if (page.header.clusterId !== header.clusterId) return undefined;
        for (const kv of page.kvs) reader.see(kv);
        const last = page.kvs.at(-1);
        if (!page.more || last === undefined) break;
        from = { ...range, key: `${last.key}\0` };
      }
    }
    return header;
  }

  /** One page, as large as fits. */
  async #page(
    request: KeyRange & { readonly keysOnly: boolean; readonly revision?: number },
  ): Promise<RangeAnswer> {
    for (;;) {
      const limit = request.keysOnly ? etcdPageKeysMax : this.#pageKeys;
      try {
        const page = await this.#etcd.range({ ...request, limit });
        if (!request.keysOnly) this.#pageKeys = nextPageKeys(limit, page.kvs);
        return page;
      } catch (error) {
        if (!isTooLarge(error) || request.keysOnly || limit === 1) throw error;
        this.#pageKeys = Math.max(1, Math.floor(limit / 4));
      }
    }
  }
}

/** As many keys as make `etcdPageBytes` if they are like these; at most four times as many as were asked for. */
export function nextPageKeys(limit: number, kvs: readonly KeyValue[]): number {
  if (kvs.length === 0) return limit;
  const bytes = kvs.reduce((sum, kv) => sum + kv.bytes + kvBytes, 0);
  const fitting = Math.floor((etcdPageBytes * kvs.length) / bytes);
  return Math.max(1, Math.min(fitting, limit * 4, etcdPageKeysMax));
}

/** `range` without `skip`. */
function around(range: KeyRange, skip: KeyRange): KeyRange[] {
  const before = { key: range.key, end: skip.key };
  const { end } = range;
  const after = { key: skip.end ?? `${skip.key}\0`, ...(end === undefined ? {} : { end }) };
  return [before, after].filter(({ key, end: until }) => until === undefined || key < until);
}

function atRevision(header: EtcdHeader | undefined): { readonly revision?: number } {
  return header === undefined ? {} : { revision: header.revision };
}

export function isCompacted(error: unknown): boolean {
  return error instanceof RouterError && error.details.reason === "ETCD_COMPACTED";
}

function isTooLarge(error: unknown): boolean {
  return error instanceof RouterError && error.details.reason === "ETCD_TOO_LARGE";
}
