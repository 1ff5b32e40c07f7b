// The newest ChangeSets of a store, and those who wait for the next one.
//
// A watcher is a position in the history and nothing else: it is never sent anything, it reads on when it
// is ready. So a slow one costs no memory, and loss or repetition would need a wrong number.

import type { ChangeSet } from "../model/change.ts";
import { assert, RouterError } from "../model/errors.ts";
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
  /**
   * The first ChangeSet after `revision`, which is at least `floor`; undefined when there is none, or it is
   * not kept, or it cannot be read.
   */
  next(revision: number): ChangeSet | undefined;
}

/** Revisions grow and may have gaps: those of SQLite have none, those of etcd count all that etcd holds. */
export class ChangeLog implements History {
  revision: Revision;
  floor: Revision;
  closed = false;
  /** Times that it began anew. */
  beginnings = 0;
  readonly #bounds: HistoryBounds;
  /** Those from `#oldest` on, in order; the ones before are forgotten, and leave the array now and then. */
  readonly #sets: ChangeSet[] = [];
  #oldest = 0;
  #changeCount = 0;
  readonly #waiting = new Set<() => void>();

  /** @param revision The store's revision now; the log begins after it. */
  constructor(revision: Revision, bounds: HistoryBounds) {
    this.revision = revision;
    this.floor = revision;
    this.#bounds = bounds;
  }

  /** The log begins anew after `revision`, smaller or not: what led there is not known, and every watch ends. */
  restart(revision: Revision): void {
    this.beginnings++;
    this.#sets.length = 0;
    this.#oldest = 0;
    this.#changeCount = 0;
    this.revision = revision;
    this.floor = revision;
    this.#wake();
  }

  next(revision: number): ChangeSet | undefined {
    if (revision < this.floor) return undefined;
    let low = this.#oldest;
    let high = this.#sets.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#sets[middle]!.revision > revision) high = middle;
      else low = middle + 1;
    }
    return this.#sets[low];
  }

  /** Adds what was just stored, forgets what is out of bounds, wakes who waits. */
  append(changeSet: ChangeSet): void {
    assert(changeSet.revision > this.revision, "revisions only grow");
    this.#sets.push(changeSet);
    this.#changeCount += changeSet.changes.length;
    this.revision = changeSet.revision;
    this.#forget();
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

  #forget(): void {
    while (isOver(this.#bounds, this.#sets.length - this.#oldest, this.#changeCount)) {
      const oldest = this.#sets[this.#oldest++]!;
      this.#changeCount -= oldest.changes.length;
      this.floor = oldest.revision;
    }
    // Half at a time, so that forgetting costs little per append.
    if (this.#oldest <= this.#sets.length / 2) return;
    this.#sets.splice(0, this.#oldest);
    this.#oldest = 0;
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
  const { beginnings } = log;
  while (!signal.aborted && !log.closed) {
    // A revision of another past may have the number of ours.
    if (log.beginnings !== beginnings) throw forgotten(at, history.revision);
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
  const next = at < history.floor ? undefined : history.next(at);
  if (next !== undefined) return next;
  // A kept revision that cannot be read is as good as gone: the only way on is past all of it.
  throw forgotten(at, at < history.floor ? history.floor : history.revision);
}

function forgotten(at: Revision, oldest: Revision): RouterError {
  return new RouterError(
    "out-of-range",
    `what followed revision ${at} is no longer kept (the oldest to watch from is ${oldest}): read, then watch again`,
    { metadata: { oldest: String(oldest) } },
  );
}
