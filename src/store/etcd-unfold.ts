// Puts a large write beside the table, and makes it keys of the table once the guard has named it.
//
// Knows: in which order, and that every transaction compares the guard. Does not know: when a write may be stored
// (etcd-commit), who else unfolds.
//
// Parts are put while the guard stands where the write was decided, so whatever lies there once the guard has moved on
// without naming it is nobody's any more. A batch is unfolded under the guard that names it: each transaction can be
// sent again, arrive late, or come from two nodes, and leaves the same. Nothing of it can arrive after the last
// one, which puts the guard without the batch.

import type {
  Compare,
  Etcd,
  Key,
  KeyValue,
  Operation,
  Transaction,
  TransactionAnswer,
} from "../etcd/etcd.ts";
import { commitSettlePauseMs } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import { type System, sleep } from "../system.ts";
import { type BatchEntry, unfoldingOf } from "./etcd-batch.ts";
import type { EtcdLayout } from "./etcd-layout.ts";
import { decodeMarker, encodeMarker, type Marker } from "./etcd-marker.ts";
import type { OpenBatch } from "./etcd-overlay.ts";
import type { Companion } from "./etcd-transaction.ts";

export interface UnfolderParts {
  readonly etcd: Etcd;
  readonly system: System;
  readonly layout: EtcdLayout;
}

export interface Unfolding {
  readonly open: OpenBatch;
  readonly entries: readonly BatchEntry[];
  /** As the guard has it. */
  readonly marker: Marker;
  /** The guard's revision: not that of the batch where somebody accepted the store meanwhile. */
  readonly guard: number;
  /** Put with the last transaction. */
  readonly beside?: readonly Companion[];
}

export interface Unfolded {
  /** Of the last transaction, whoever sent it; undefined: others have written since. */
  readonly revision: number | undefined;
  /** It was sent from here, and its answer arrived. */
  readonly ours: boolean;
}

export class Unfolder {
  readonly #parts: UnfolderParts;

  constructor(parts: UnfolderParts) {
    this.#parts = parts;
  }

  /**
   * Puts the parts of a batch, as long as the guard is at revision `guard`; the answer says where they are, and is
   * undefined when the guard moved. Rejects as etcd does, also when it cannot be reached until `signal` aborts.
   */
  async putParts(
    batch: string,
    parts: readonly string[],
    guard: number,
    signal: AbortSignal,
  ): Promise<readonly Compare[] | undefined> {
    const put: Compare[] = [];
    for (const [index, value] of parts.entries()) {
      const key = this.#parts.layout.part(batch, index + 1);
      const revision = await this.#putPart(key, value, guard, signal);
      if (revision === undefined) return undefined;
      put.push({ key, target: "mod", revision });
    }
    return put;
  }

  /** Parts of a write that was not stored. What stays goes with the next large write, or with `drop`. */
  async takeBack(batch: string): Promise<void> {
    const { etcd, layout } = this.#parts;
    const remove: Operation = { kind: "delete", ...layout.partsOf(batch) };
    await etcd.transact({ compare: [], success: [remove], failure: [] });
  }

  /** Every part that is there, unless the guard moves; nobody names them. */
  async drop(guard: number): Promise<void> {
    const { etcd, layout } = this.#parts;
    const success: readonly Operation[] = [{ kind: "delete", ...layout.allParts }];
    await etcd.transact({ compare: [this.#guardAt(guard)], success, failure: [] });
  }

  /**
   * Makes the batch keys of the table. Rejects as `putParts`; then it is done in part, and can be done again.
   */
  async unfold(unfolding: Unfolding, signal: AbortSignal): Promise<Unfolded> {
    const { open, entries, beside = [] } = unfolding;
    const pieces = unfoldingOf(entries, open.revision);
    let { guard, marker } = unfolding;
    for (;;) {
      const found = await this.#pass(pieces, { open, guard, marker, beside }, signal);
      if (typeof found === "number") return { revision: found, ours: true };
      if (found === undefined) return { revision: undefined, ours: false };
      // Somebody accepted the store, or wrote nonsense into the guard.
      marker = markerIn(found) ?? marker;
      guard = found.modRevision;
      if (marker.batch?.id === open.id) continue;
      return { revision: marker.write === open.id ? guard : undefined, ours: false };
    }
  }

  /** The revision of the last transaction; or the guard, where that moved. */
  async #pass(
    pieces: readonly (readonly Operation[])[],
    { open, guard, marker, beside }: Omit<Required<Unfolding>, "entries">,
    signal: AbortSignal,
  ): Promise<number | KeyValue | undefined> {
    const { layout } = this.#parts;
    const last: readonly Operation[] = [
      { kind: "put", key: layout.guard, value: encodeMarker(marker, open.id) },
      { kind: "delete", ...layout.allParts },
      ...beside.map((one): Operation => ({ kind: "put", ...one })),
    ];
    let revision = 0;
    for (const success of [...pieces, last]) {
      const compare = [this.#guardAt(guard)];
      const failure: readonly Operation[] = [{ kind: "range", key: layout.guard }];
      const answer = await this.#send({ compare, success, failure }, signal);
      if (!answer.succeeded) return answer.ranges[0]?.kvs[0];
      revision = answer.header.revision;
    }
    return revision;
  }

  /** The part's revision; undefined: the guard is not at `guard`. */
  async #putPart(
    key: Key,
    value: string,
    guard: number,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const answer = await this.#send(
      {
        compare: [this.#guardAt(guard), { key, target: "create", revision: 0 }],
        success: [{ kind: "put", key, value }],
        failure: [{ kind: "range", key }],
      },
      signal,
    );
    if (answer.succeeded) return answer.header.revision;
    // An earlier try arrived, and its answer did not.
    const found = answer.ranges[0]?.kvs[0];
    return found?.text === value ? found.modRevision : undefined;
  }

  #guardAt(revision: number): Compare {
    return { key: this.#parts.layout.guard, target: "mod", revision };
  }

  /** Again and again while etcd cannot be reached: it does no harm twice. */
  async #send(transaction: Transaction, signal: AbortSignal): Promise<TransactionAnswer> {
    const { etcd, system } = this.#parts;
    for (;;) {
      try {
        return await etcd.transact(transaction);
      } catch (thrown) {
        const cause = RouterError.from(thrown);
        if (cause.code !== "store-unavailable" || signal.aborted) throw cause;
        await sleep(system, commitSettlePauseMs, signal);
        if (signal.aborted) throw cause;
      }
    }
  }
}

/** undefined: it cannot be read. */
function markerIn(guard: KeyValue): Marker | undefined {
  try {
    return decodeMarker(guard.text ?? "");
  } catch {
    return undefined;
  }
}
