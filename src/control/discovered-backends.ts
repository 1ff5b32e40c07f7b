// The backends of every discovery, laid under those of the store.
//
// A backend that the store has wins over a discovered one of the same service and address; when the store's
// goes, the discovered one takes its place. Of two discoveries that name one backend the first, in the
// order of the settings, is believed. Pure: who follows the sources hands their sets in.

import type { DiscoveredBackend } from "../discovery/discovery.ts";
import {
  type Backend,
  type BackendKey,
  backendKeyOf,
  sameStoredBackend,
} from "../model/backend.ts";
import type { Change, ChangeSet } from "../model/change.ts";
import { ChurnMap } from "../model/churn-map.ts";
import type { Table } from "../model/table.ts";

type DiscoveredSet = ReadonlyMap<BackendKey, DiscoveredBackend>;
/** What names a backend. */
type Place = Pick<Backend, "service" | "address">;

const nothing: DiscoveredSet = new Map();

export class DiscoveredBackends {
  /** What is served; patched by the owner with each answer. */
  readonly #table: Table;
  /** By discovery. */
  readonly #sets: DiscoveredSet[];
  /** What the table has from here, for the store has nothing there. */
  readonly #serving = new ChurnMap<BackendKey, DiscoveredBackend>();

  constructor(table: Table, discoveries: number) {
    this.#table = table;
    this.#sets = Array.from({ length: discoveries }, () => nothing);
  }

  /** "etcd:/services/web/1"; undefined: the store has this backend, or nobody has. */
  sourceOf(backend: Place): string | undefined {
    return this.#serving.get(backendKeyOf(backend))?.source;
  }

  /** Backends that a discovery names, served or not. */
  countOf(discovery: number): number {
    return this.#sets[discovery]?.size ?? 0;
  }

  /** Discoveries have told their whole sets: what changes in the table, to be applied to it. */
  replace(sets: ReadonlyMap<number, readonly DiscoveredBackend[]>): readonly Change[] {
    const touched = new Map<BackendKey, Backend>();
    for (const [discovery, found] of sets) {
      const before = this.#sets[discovery] ?? nothing;
      const after = new Map(found.map((one) => [backendKeyOf(one.backend), one]));
      this.#sets[discovery] = after;
      for (const [key, { backend }] of before) if (!after.has(key)) touched.set(key, backend);
      for (const [key, one] of after) {
        const had = before.get(key);
        const same = had?.source === one.source && sameStoredBackend(had.backend, one.backend);
        if (!same) touched.set(key, one.backend);
      }
    }
    return [...touched].flatMap(([key, backend]) => this.#settle(key, backend));
  }

  /** What a change of the store comes to in the table; to be applied to it. */
  admit(changeSet: ChangeSet): ChangeSet {
    if (this.#sets.every(({ size }) => size === 0)) return changeSet;
    let same = true;
    const changes = changeSet.changes.flatMap((change): readonly Change[] => {
      if (change.kind === "backend-put") this.#serving.delete(backendKeyOf(change.backend));
      if (change.kind !== "backend-removed") return [change];
      const below = this.#below(change);
      if (below === undefined) return [change];
      same = false;
      return below;
    });
    return same ? changeSet : { ...changeSet, changes };
  }

  /** What comes to light where the store has nothing any more; undefined: nothing does. */
  #below(place: Place): readonly Change[] | undefined {
    const key = backendKeyOf(place);
    const found = this.#foundAt(key);
    if (found === undefined) return undefined;
    if (this.#serving.has(key)) return []; // the store had none to remove
    this.#serving.set(key, found);
    return [{ kind: "backend-put", backend: found.backend }];
  }

  /** What a discovery says of this backend has changed. */
  #settle(key: BackendKey, { service, address }: Place): readonly Change[] {
    const serving = this.#serving.get(key);
    const stored = serving === undefined && this.#table.backendsOf(service).has(address);
    if (stored) return [];
    const found = this.#foundAt(key);
    if (found === undefined) {
      if (serving === undefined) return [];
      this.#serving.delete(key);
      return [{ kind: "backend-removed", service, address }];
    }
    this.#serving.set(key, found);
    if (serving !== undefined && sameStoredBackend(serving.backend, found.backend)) return [];
    return [{ kind: "backend-put", backend: found.backend }];
  }

  #foundAt(key: BackendKey): DiscoveredBackend | undefined {
    for (const set of this.#sets) {
      const found = set.get(key);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}
