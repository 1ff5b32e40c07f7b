// The last changes of the table, for deltas: bounded in number, so that a worker that is far behind
// costs no memory; it gets a snapshot instead.

import { backendKeyOf } from "../model/backend.ts";
import type { Change } from "../model/change.ts";
import { unreachable } from "../model/errors.ts";
import type { Position } from "../model/position.ts";

/** What led to a position from the one before. */
export interface PositionedChanges {
  readonly position: Position;
  readonly changes: readonly Change[];
}

export class ChangeLog {
  /** The position before the first kept change. */
  #base: Position;
  readonly #changesMax: number;
  #sets: PositionedChanges[] = [];
  #changeCount = 0;
  /** The last merge: workers in step ask for the same one. */
  #merged:
    | { readonly base: Position; readonly position: Position; readonly changes: readonly Change[] }
    | undefined;

  constructor(base: Position, changesMax: number) {
    this.#base = base;
    this.#changesMax = changesMax;
  }

  append(set: PositionedChanges): void {
    this.#sets.push(set);
    this.#changeCount += weightOf(set);
    if (this.#changeCount > this.#changesMax) this.#forget();
  }

  /** What leads from `base` to `position` (the newest), each entry named once; undefined when `base` is forgotten. */
  between(base: Position, position: Position): readonly Change[] | undefined {
    if (base < this.#base) return undefined;
    if (this.#merged?.base !== base || this.#merged.position !== position) {
      this.#merged = { base, position, changes: merge(this.#after(base)) };
    }
    return this.#merged.changes;
  }

  /** Drops the older half at least, so that forgetting costs little per change. */
  #forget(): void {
    let dropped = 0;
    let count = this.#changeCount;
    while (count > this.#changesMax / 2 && dropped < this.#sets.length) {
      const set = this.#sets[dropped++]!;
      count -= weightOf(set);
      this.#base = set.position;
    }
    this.#sets = this.#sets.slice(dropped);
    this.#changeCount = count;
  }

  #after(base: Position): readonly PositionedChanges[] {
    let at = this.#sets.length;
    while (at > 0 && this.#sets[at - 1]!.position > base) at--;
    return this.#sets.slice(at);
  }
}

/** Without changes it takes room all the same. */
function weightOf({ changes }: PositionedChanges): number {
  return Math.max(1, changes.length);
}

/** One change per entry, the last one, in the order of their last mention. */
function merge(sets: readonly PositionedChanges[]): readonly Change[] {
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
