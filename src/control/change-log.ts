// The last changes of the table, for deltas: bounded in number, so that a worker that is far behind
// costs no memory; it gets a snapshot instead.

import { backendKeyOf } from "../model/backend.ts";
import type { Change, ChangeSet } from "../model/change.ts";
import { unreachable } from "../model/errors.ts";
import type { Revision } from "../model/revision.ts";

export class ChangeLog {
  /** The revision before the first kept change. */
  #base: Revision;
  readonly #changesMax: number;
  #sets: ChangeSet[] = [];
  #changeCount = 0;
  /** The last merge: workers in step ask for the same one. */
  #merged:
    | { readonly base: Revision; readonly revision: Revision; readonly changes: readonly Change[] }
    | undefined;

  constructor(base: Revision, changesMax: number) {
    this.#base = base;
    this.#changesMax = changesMax;
  }

  append(changeSet: ChangeSet): void {
    this.#sets.push(changeSet);
    this.#changeCount += changeSet.changes.length;
    if (this.#changeCount > this.#changesMax) this.#forget();
  }

  /** What leads from `base` to `revision` (the newest), each entry named once; undefined when `base` is forgotten. */
  between(base: Revision, revision: Revision): readonly Change[] | undefined {
    if (base < this.#base) return undefined;
    if (this.#merged?.base !== base || this.#merged.revision !== revision) {
      this.#merged = { base, revision, changes: merge(this.#after(base)) };
    }
    return this.#merged.changes;
  }

  /** Drops the older half at least, so that forgetting costs little per change. */
  #forget(): void {
    let dropped = 0;
    let count = this.#changeCount;
    while (count > this.#changesMax / 2 && dropped < this.#sets.length) {
      const set = this.#sets[dropped++]!;
      count -= set.changes.length;
      this.#base = set.revision;
    }
    this.#sets = this.#sets.slice(dropped);
    this.#changeCount = count;
  }

  #after(base: Revision): readonly ChangeSet[] {
    let at = this.#sets.length;
    while (at > 0 && this.#sets[at - 1]!.revision > base) at--;
    return this.#sets.slice(at);
  }
}

/** One change per entry, the last one, in the order of their last mention. */
function merge(sets: readonly ChangeSet[]): readonly Change[] {
  if (sets.length <= 1) return sets[0]?.changes ?? [];
  const last = new Map<string, Change>();
  for (const { changes } of sets) {
    for (const change of changes) {
      const key = keyOf(change);
      last.delete(key);
      last.set(key, change);
    }
  }
  return [...last.values()];
}

function keyOf(change: Change): string {
  switch (change.kind) {
    case "route-put":
      return `route ${change.route.name}`;
    case "route-removed":
      return `route ${change.name}`;
    case "service-put":
      return `service ${change.service.name}`;
    case "service-removed":
      return `service ${change.name}`;
    case "backend-put":
      return `backend ${backendKeyOf(change.backend)}`;
    case "backend-removed":
      return `backend ${backendKeyOf(change)}`;
    default:
      return unreachable(change);
  }
}
