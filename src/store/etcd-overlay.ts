// The batch that lies over the table while a large write is being unfolded: from the revision in which the guard
// names it until the guard names it no more, its entries count, whatever is under their keys.
//
// So the table is a function of what etcd holds, and of nothing else: who follows and who has just listed see the
// same, before, between and after the transactions that unfold it.
//
// Knows: the parts that are there. Does not know: etcd, what is under the keys of the table.

import type { Key } from "../etcd/etcd.ts";
import type { Change } from "../model/change.ts";
import { parseRevision, type Revision } from "../model/revision.ts";
import { type BatchEntry, changeOf, decodePart } from "./etcd-batch.ts";
import type { EtcdLayout } from "./etcd-layout.ts";
import type { BatchName } from "./etcd-marker.ts";

/** A batch that the guard names. */
export interface OpenBatch extends BatchName {
  /** In which the guard named it. */
  readonly revision: Revision;
}

export class EtcdOverlay {
  open: OpenBatch | undefined;
  readonly #layout: EtcdLayout;
  readonly #parts = new Map<Key, readonly BatchEntry[]>();
  #effect: ReadonlyMap<Key, Change> = new Map();

  readonly #below: (key: Key) => Change | undefined;

  /** @param below What is under a key. */
  constructor(layout: EtcdLayout, below: (key: Key) => Change | undefined) {
    this.#layout = layout;
    this.#below = below;
  }

  /** What counts for the key instead of what is under it; undefined: nothing does. */
  get(key: Key): Change | undefined {
    return this.#effect.get(key);
  }

  get partKeys(): ReadonlySet<Key> {
    return new Set(this.#parts.keys());
  }

  /** What the open batch holds. */
  entries(): readonly BatchEntry[] {
    const { open } = this;
    if (open === undefined) return [];
    const prefix = this.#layout.partsOf(open.id).key;
    return [...this.#parts].flatMap(([key, entries]) => (key.startsWith(prefix) ? entries : []));
  }

  /** Throws "invalid-argument"; then the one before, if there was one, goes on. */
  putPart(key: Key, text: string): void {
    this.#parts.set(key, decodePart(text, this.#layout));
  }

  removePart(key: Key): void {
    this.#parts.delete(key);
  }

  /** The guard was written at `revision`. */
  guard(batch: BatchName | undefined, revision: number): void {
    this.open = batch && { ...batch, revision: parseRevision(revision) };
  }

  /** After parts or guard changed: calls `touch` for each key before what counts for it may change, then changes that. */
  refresh(touch: (key: Key) => void): void {
    const { open } = this;
    const effect = new Map<Key, Change>();
    for (const entry of this.entries()) {
      const change = open && attempted(entry, open.revision, this.#createdAt(entry.key, open));
      if (change !== undefined) effect.set(entry.key, change);
    }
    for (const key of this.#effect.keys()) touch(key);
    for (const key of effect.keys()) touch(key);
    this.#effect = effect;
  }

  /** Since when the key has a value; never later than the batch, whose keys come after it. */
  #createdAt(key: Key, { revision }: OpenBatch): Revision {
    const below = this.#below(key);
    const joined = below?.kind === "backend-put" ? below.backend.joined : undefined;
    return joined !== undefined && joined < revision ? joined : revision;
  }
}

/** What cannot be read lies over nothing: once unfolded it is set aside, and the last good value serves on. */
function attempted(entry: BatchEntry, revision: Revision, created: Revision): Change | undefined {
  try {
    return changeOf(entry, { revision, created, leased: false });
  } catch {
    return undefined;
  }
}
