// What etcd holds of the table, as this node understands it: batches of keys become ChangeSets.
//
// Knows: for each key its last good value, and why its newest one was set aside. Does not know: etcd (the follower
// brings the batches), whether they are to be believed (the follower judges), or conflicts between routes (the
// control plane's).
//
// A value that cannot be read changes nothing but the list of rejected entries: its last good one serves on. It
// still makes a revision, so that nodes of different versions count alike.
//
// The table's revision is the newest revision of etcd in which one of its keys was written or deleted.

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
import { invalidField, RouterError, unreachable } from "../model/errors.ts";
import { parseRevision, type Revision, revisionZero } from "../model/revision.ts";
import type { Route } from "../model/route.ts";
import type { Service } from "../model/service.ts";
import { ChangeLog, type HistoryBounds } from "./change-log.ts";
import { type EtcdLayout, isEntry, type Place, removalOf } from "./etcd-layout.ts";
import { decodeMarker, type Marker } from "./etcd-marker.ts";
import { decodeBackend, decodeRoute, decodeService, type EntryFacts } from "./etcd-values.ts";
import type { RejectedEntry } from "./store.ts";

export class EtcdMirror {
  readonly log: ChangeLog;
  /** There was a first batch. */
  begun = false;
  readonly #layout: EtcdLayout;
  /** What serves, by key. */
  readonly #good = new ChurnMap<Key, Change>();
  readonly #rejected = new Map<Key, string>();
  #marker: Marker | undefined;

  constructor(layout: EtcdLayout, bounds: HistoryBounds) {
    this.#layout = layout;
    this.log = new ChangeLog(revisionZero, bounds);
  }

  get revision(): Revision {
    return this.log.revision;
  }

  /** The last one that could be read, also when it is gone: who puts it again says which store this was. */
  get marker(): Marker | undefined {
    return this.#marker;
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
    for (const change of this.#good.values()) {
      if (change.kind === "route-put") routes.push(change.route);
      else if (change.kind === "service-put") services.push(change.service);
      else if (change.kind === "backend-put") backends.push(change.backend);
    }
    return { revision: this.revision, routes, services, backends };
  }

  /**
   * Applies the batch as one ChangeSet; the answer names the keys of `puts` that could not be read. The first
   * one is where the history begins.
   */
  apply(batch: FollowedBatch): ReadonlySet<Key> {
    const unread = new Set<Key>();
    const changes: Change[] = [];
    for (const key of batch.deletes) {
      const change = this.#remove(key);
      if (change !== undefined) changes.push(change);
    }
    for (const kv of batch.puts) {
      const change = this.#put(kv, unread);
      if (change !== undefined) changes.push(change);
    }
    this.#record(changes, batch);
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

  #remove(key: Key): Change | undefined {
    this.#rejected.delete(key);
    const place = this.#layout.place(key);
    if (!isEntry(place) || !this.#good.has(key)) return undefined;
    this.#good.delete(key);
    return removalOf(place);
  }

  #put(kv: KeyValue, unread: Set<Key>): Change | undefined {
    const place = this.#layout.place(kv.key);
    if (place.kind === "member" || place.kind === "request") return undefined;
    // First of all, so that the list is in the order in which things went wrong.
    this.#rejected.delete(kv.key);
    try {
      const change = this.#read(kv, place);
      if (change !== undefined) this.#good.set(kv.key, change);
      return change;
    } catch (thrown) {
      this.#rejected.set(kv.key, reasonOf(thrown));
      unread.add(kv.key);
      return undefined;
    }
  }

  /** What the entry is; throws "invalid-argument" when it must be set aside. */
  #read(kv: KeyValue, place: Exclude<Place, { kind: "member" | "request" }>): Change | undefined {
    switch (place.kind) {
      case "guard":
        this.#marker = markerOf(kv);
        return undefined;
      case "strange":
        throw new RouterError("invalid-argument", place.reason);
      case "route":
        return { kind: "route-put", route: decodeRoute(textOf(kv), place, factsOf(kv)) };
      case "service":
        return { kind: "service-put", service: decodeService(textOf(kv), place) };
      case "backend":
        return { kind: "backend-put", backend: decodeBackend(textOf(kv), place, factsOf(kv)) };
      default:
        return unreachable(place);
    }
  }
}

function markerOf(kv: KeyValue): Marker {
  return decodeMarker(textOf(kv));
}

function identity({ store, replaces }: Marker): StoreIdentity {
  return { id: store, replaces };
}

function factsOf({ modRevision, lease }: KeyValue): EntryFacts {
  return { revision: parseRevision(modRevision), leased: lease !== "0" };
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
