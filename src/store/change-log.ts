// The newest ChangeSets of a store, and those who wait for the next one.
//
// A watcher is a position in the history and nothing else: it is never sent anything, it reads on when it
// is ready. So a slow one costs no memory, and loss or repetition would need a wrong number.

import type { ChangeSet } from "../model/change.ts";
import { RouterError } from "../model/errors.ts";
import type { Revision } from "../model/revision.ts";

/** How much of the past is kept; the newest revision always is. */
export interface HistoryBounds {
  readonly revisionsMax: number;
  readonly changesMax: number;
}

/** The revisions of one store, as far back as they are kept. */
export interface History {
  /** The newest. */
  readonly revision: Revision;
  /** The one before the oldest that is kept: the smallest `after` that can be watched from. */
  readonly floor: Revision;
  /** What made `revision`; undefined when that is not kept or cannot be read. */
  changeSet(revision: number): ChangeSet | undefined;
}

/** Invariant: revisions follow each other without a gap. */
export class ChangeLog implements History {
  revision: Revision;
  floor: Revision;
  closed = false;
  readonly #bounds: HistoryBounds;
  readonly #sets = new Map<number, ChangeSet>();
  #changeCount = 0;
  readonly #waiting = new Set<() => void>();

  /** @param revision The store's revision now; the log begins after it. */
  constructor(revision: Revision, bounds: HistoryBounds) {
    this.revision = revision;
    this.floor = revision;
    this.#bounds = bounds;
  }

  changeSet(revision: number): ChangeSet | undefined {
    return this.#sets.get(revision);
  }

  /** Adds what was just stored, forgets what is out of bounds, wakes who waits. */
  append(changeSet: ChangeSet): void {
    this.#sets.set(changeSet.revision, changeSet);
    this.#changeCount += changeSet.changes.length;
    this.revision = changeSet.revision;
    for (const oldest of this.#sets.values()) {
      if (!isOver(this.#bounds, this.#sets.size, this.#changeCount)) break;
      this.#sets.delete(oldest.revision);
      this.#changeCount -= oldest.changes.length;
      this.floor = oldest.revision;
    }
    this.#wake();
  }

  /** Resolves at the next `append`, when `signal` aborts, or at `close`. */
  appended(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }

  close(): void {
    this.closed = true;
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }
}

/** Whether the oldest revision must go. */
export function isOver(bounds: HistoryBounds, revisions: number, changes: number): boolean {
  return revisions > 1 && (revisions > bounds.revisionsMax || changes > bounds.changesMax);
}

/** Promise 3 of the Store: every ChangeSet after `after`, then live ones, until `signal` or the log ends it. */
export async function* follow(
  history: History,
  log: ChangeLog,
  after: Revision,
  signal: AbortSignal,
): AsyncGenerator<ChangeSet, void, void> {
  let at = after;
  while (!signal.aborted && !log.closed) {
    if (at === history.revision) {
      await log.appended(signal);
      continue;
    }
    const next = changeSetAfter(history, at);
    at = next.revision;
    yield next;
  }
}

function changeSetAfter(history: History, at: Revision): ChangeSet {
  if (at > history.revision) {
    throw new RouterError(
      "out-of-range",
      `revision ${at} is in the future; the store is at ${history.revision}: read, then watch from there`,
      { metadata: { current: String(history.revision) } },
    );
  }
  const next = at < history.floor ? undefined : history.changeSet(at + 1);
  if (next !== undefined) return next;
  // A kept revision that cannot be read is as good as gone: the only way on is past all of it.
  const oldest = at < history.floor ? history.floor : history.revision;
  throw new RouterError(
    "out-of-range",
    `what followed revision ${at} is no longer kept (the oldest to watch from is ${oldest}): read, then watch again`,
    { metadata: { oldest: String(oldest) } },
  );
}
