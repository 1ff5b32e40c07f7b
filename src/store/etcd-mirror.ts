// What etcd holds of the table, as this node understands it: batches of keys become ChangeSets.
//
// Knows: for each key its last good value, and why its newest one was set aside. Does not know: etcd (the follower
// brings the batches), whether they are to be believed (the follower judges), or conflicts between routes (the
// control plane's).
//
// A value that cannot be read changes nothing but the list of rejected entries: its last good one serves on. It
// still makes a revision, so that nodes of different versions count alike.
//
// The table's revision is the newest revision of etcd in which one of its keys was written or deleted. While the guard
// names a batch, that lies over the keys (etcd-overlay).

import { type Key, type KeyValue, shownKey } from "../etcd/etcd.ts";
import type { FollowedBatch, StoreIdentity } from "../etcd/followed.ts";
import {
  etcdValueBytesMax,
  rejectedKeyCharactersMax,
  rejectedReasonCharactersMax,
} from "../limits.ts";
import type { Backend } from "../model/backend.ts";
import type { Change, Snapshot } from "../model/change.ts";
import { ChurnMap } from "../model/churn-map.ts";
import { assert, invalidField, RouterError, unreachable } from "../model/errors.ts";
import { parseRevision, type Revision, revisionZero } from "../model/revision.ts";
import type { Route } from "../model/route.ts";
import type { Service } from "../model/service.ts";
import { ChangeLog, type HistoryBounds } from "./change-log.ts";
import { type BatchEntry, changeOf } from "./etcd-batch.ts";
import { type EtcdLayout, isEntry, type Place, removalOf } from "./etcd-layout.ts";
import { type BatchName, decodeMarker, type Marker } from "./etcd-marker.ts";
import { EtcdOverlay, type OpenBatch } from "./etcd-overlay.ts";
import { checkSealingKey } from "./etcd-sealing-key.ts";
import type { EntryFacts } from "./etcd-values.ts";
import type { RejectedEntry } from "./store.ts";

export class EtcdMirror {
  readonly log: ChangeLog;
  /** There was a first batch. */
  begun = false;
  readonly #layout: EtcdLayout;
  /** What serves, by key. */
  readonly #good = new ChurnMap<Key, Change>();
  readonly #rejected = new Map<Key, string>();
  readonly #overlay: EtcdOverlay;
  #marker: Marker | undefined;
  /** A batch of which the watch did not bring every part: see `#doubt`. */
  #doubted: string | undefined;

  constructor(layout: EtcdLayout, bounds: HistoryBounds) {
    this.#layout = layout;
    this.#overlay = new EtcdOverlay(layout, (key) => this.#good.get(key));
    this.log = new ChangeLog(revisionZero, bounds);
  }

  get revision(): Revision {
    return this.log.revision;
  }

  /** The last one that could be read, also when it is gone: who puts it again says which store this was. */
  get marker(): Marker | undefined {
    return this.#marker;
  }

  /** The batch that is being unfolded; undefined: none is. */
  get open(): OpenBatch | undefined {
    return this.#overlay.open;
  }

  get openEntries(): readonly BatchEntry[] {
    return this.#overlay.entries();
  }

  /** Parts of large writes, whether they count or not. */
  get partKeys(): ReadonlySet<Key> {
    return this.#overlay.partKeys;
  }

  get rejected(): readonly RejectedEntry[] {
    return [...this.#rejected].map(([key, reason]) => ({
      key: cut(shownKey(key), rejectedKeyCharactersMax),
      reason,
    }));
  }

  snapshot(): Snapshot {
    const routes: Route[] = [];
    const services: Service[] = [];
    const backends: Backend[] = [];
    for (const change of this.#serving()) {
      if (change.kind === "route-put") routes.push(change.route);
      else if (change.kind === "service-put") services.push(change.service);
      else if (change.kind === "backend-put") backends.push(change.backend);
    }
    return { revision: this.revision, routes, services, backends };
  }

  /**
   * Applies the batch as one ChangeSet; the answer names the keys of `puts` that could not be read. The first
   * one is where the history begins. Throws before anything changed when a large write is not whole: list again.
   */
  apply(batch: FollowedBatch): ReadonlySet<Key> {
    this.#doubt(batch);
    const unread = new Set<Key>();
    const before = new Map<Key, Change | undefined>();
    const follows = this.begun && batch.anew !== true;
    const touch = (key: Key): void => {
      if (follows && !before.has(key)) before.set(key, this.#counting(key));
    };
    let layered = false;
    for (const key of batch.deletes) layered = this.#remove(key, touch) || layered;
    for (const kv of batch.puts) layered = this.#put(kv, unread, touch) || layered;
    if (layered) this.#overlay.refresh(touch);
    this.#record(this.#changesSince(before), batch);
    return unread;
  }

  /** Which store a set of keys is. */
  identityOf(get: (key: Key) => KeyValue | undefined): StoreIdentity | undefined {
    const kv = get(this.#layout.guard);
    if (kv === undefined) return undefined;
    try {
      return identity(markerOf(kv));
    } catch {
      // Somebody wrote nonsense into it: that is no other store, and the next write mends it.
      return this.#marker && identity(this.#marker);
    }
  }

  /** What counts for the key; a removal, or undefined: nothing is there. */
  #counting(key: Key): Change | undefined {
    return this.#overlay.get(key) ?? this.#good.get(key);
  }

  *#serving(): Iterable<Change> {
    for (const key of this.#good.keys()) yield this.#counting(key)!;
    for (const { key } of this.#overlay.entries()) {
      const change = this.#overlay.get(key);
      if (change !== undefined && !this.#good.has(key)) yield change;
    }
  }

  /** Removals first. */
  #changesSince(before: ReadonlyMap<Key, Change | undefined>): readonly Change[] {
    const removals: Change[] = [];
    const puts: Change[] = [];
    for (const [key, was] of before) {
      const now = this.#counting(key);
      if (now === was) continue;
      if (now !== undefined && !isRemoval(now)) puts.push(now);
      else if (was !== undefined && !isRemoval(was))
        removals.push(now ?? removalAt(this.#layout, key));
    }
    return [...removals, ...puts];
  }

  /**
   * A watch of etcd 3.4.23 loses events now and then. A part that is missing would show half of a large write, so
   * the first time a list is asked for; what that holds is all there is.
   */
  #doubt({ puts, deletes, anew }: FollowedBatch): void {
    const guard = puts.find(({ key }) => key === this.#layout.guard);
    const batch = guard === undefined ? undefined : batchOf(guard);
    if (batch === undefined || !this.begun || anew === true || this.#doubted === batch.id) return;
    const parts = new Set(this.#overlay.partKeys);
    for (const key of deletes) parts.delete(key);
    for (const { key } of puts) parts.add(key);
    for (let number = 1; number <= batch.parts; number++) {
      if (parts.has(this.#layout.part(batch.id, number))) continue;
      this.#doubted = batch.id;
      throw new RouterError(
        "store-unavailable",
        `a part of the large write ${batch.id} was not told`,
      );
    }
  }

  #record(changes: readonly Change[], { revision, anew }: FollowedBatch): void {
    if (!this.begun || anew === true) {
      this.begun = true;
      this.log.restart(parseRevision(revision));
    } else if (revision > this.log.revision) {
      this.log.append({ revision: parseRevision(revision), changes });
    } else if (changes.length > 0) {
      // Something was deleted unseen, and nothing was written since: it was after our last revision.
      this.log.append({ revision: parseRevision(this.log.revision + 1), changes });
    }
  }

  /** Whether what lies over the table changes; the same below. */
  #remove(key: Key, touch: (key: Key) => void): boolean {
    this.#rejected.delete(key);
    const place = this.#layout.place(key);
    if (place.kind === "guard") this.#overlay.guard(undefined, 0);
    else if (place.kind === "part") this.#overlay.removePart(key);
    else if (isEntry(place) && this.#good.has(key)) {
      touch(key);
      this.#good.delete(key);
    }
    return place.kind === "guard" || place.kind === "part";
  }

  #put(kv: KeyValue, unread: Set<Key>, touch: (key: Key) => void): boolean {
    const place = this.#layout.place(kv.key);
    if (place.kind === "member" || place.kind === "request") return false;
    // First of all, so that the list is in the order in which things went wrong.
    this.#rejected.delete(kv.key);
    try {
      if (place.kind === "part") this.#overlay.putPart(kv.key, textOf(kv));
      else this.#read(kv, place, touch);
    } catch (thrown) {
      this.#rejected.set(kv.key, reasonOf(thrown));
      unread.add(kv.key);
    }
    return place.kind === "guard" || place.kind === "part";
  }

  /** Throws "invalid-argument" when it must be set aside. */
  #read(
    kv: KeyValue,
    place: Exclude<Place, { kind: "member" | "request" | "part" }>,
    touch: (key: Key) => void,
  ): void {
    switch (place.kind) {
      case "guard":
        this.#marker = markerOf(kv);
        return this.#overlay.guard(this.#marker.batch, kv.modRevision);
      case "sealing-key":
        // Who seals reads it as well (etcd-sealing-key).
        return checkSealingKey(textOf(kv));
      case "strange":
        throw new RouterError("invalid-argument", place.reason);
      case "route":
      case "service":
      case "backend": {
        const change = changeOf({ place, value: textOf(kv) }, factsOf(kv));
        touch(kv.key);
        this.#good.set(kv.key, change);
        return;
      }
      default:
        unreachable(place);
    }
  }
}

function isRemoval({ kind }: Change): boolean {
  return kind.endsWith("-removed");
}

function removalAt(layout: EtcdLayout, key: Key): Change {
  const place = layout.place(key);
  assert(isEntry(place), "only entries serve");
  return removalOf(place);
}

/** The batch that the guard names; undefined: none, or it cannot be read. */
function batchOf(guard: KeyValue): BatchName | undefined {
  try {
    return markerOf(guard).batch;
  } catch {
    return undefined;
  }
}

function markerOf(kv: KeyValue): Marker {
  return decodeMarker(textOf(kv));
}

function identity({ store, replaces }: Marker): StoreIdentity {
  return { id: store, replaces };
}

function factsOf({ createRevision, modRevision, lease }: KeyValue): EntryFacts {
  return {
    revision: parseRevision(modRevision),
    created: parseRevision(createRevision),
    leased: lease !== "0",
  };
}

function textOf({ text, bytes }: KeyValue): string {
  if (text !== undefined) return text;
  const tooLong = bytes > etcdValueBytesMax;
  throw invalidField(
    "the value",
    tooLong ? `is ${bytes} bytes long; at most ${etcdValueBytesMax} are read` : "is not UTF-8",
  );
}

/** A message of a parser may quote what it found. */
function reasonOf(thrown: unknown): string {
  return cut(RouterError.from(thrown).message, rejectedReasonCharactersMax);
}

function cut(text: string, charactersMax: number): string {
  return text.length <= charactersMax ? text : `${text.slice(0, charactersMax).toWellFormed()}...`;
}
