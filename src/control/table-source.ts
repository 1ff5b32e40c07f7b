// The table that this node follows: read once from the store, then patched by every change the store
// tells of, ours and others' alike, with the backends that discovery finds laid under those of the store.
// When the store goes away the table stays as it is; when it comes back the difference is found and told as
// one change.
//
// Knows when something changes. What a change comes to is decided elsewhere: two routes with one match in
// set-aside.ts, discovered backends in discovered-backends.ts.

import type { DiscoveredBackend, Discovery } from "../discovery/discovery.ts";
import * as limits from "../limits.ts";
import type { ChangeSet, Snapshot } from "../model/change.ts";
import { RouterError } from "../model/errors.ts";
import { type Revision, revisionZero } from "../model/revision.ts";
import { Table } from "../model/table.ts";
import type { RejectedEntry, Store } from "../store/store.ts";
import { type System, sleep } from "../system.ts";
import type { Log } from "../telemetry/log-port.ts";
import { DiscoveredBackends } from "./discovered-backends.ts";
import { RejectedLog } from "./rejected-log.ts";
import { SetAside } from "./set-aside.ts";
import { differenceOf } from "./snapshot-difference.ts";
import { Spaced } from "./spaced.ts";
import { StoreContent } from "./store-content.ts";
import { standingOf } from "./store-standing.ts";
import type { FollowFailure, StoredEntries, TableView } from "./table-view.ts";
import type { UnservedRoute } from "./unserved.ts";

export interface TableSourceOptions {
  readonly store: Store;
  readonly system: System;
  readonly log: Log;
  /** Where backends come from besides the store; of two that name one backend the first is believed. */
  readonly discoveries?: readonly Discovery[];
  /** Gives the start up. */
  readonly signal?: AbortSignal;
}

interface Waiter {
  readonly revision: Revision;
  readonly resolve: () => void;
}

export class TableSource implements TableView {
  readonly table = new Table();
  readonly stored: StoredEntries;
  readonly discoveries: readonly Discovery[];
  failure: FollowFailure | undefined;
  era = 0;
  /** ChangeSets of the store applied since the start. */
  changeSetsTotal = 0;
  readonly #options: TableSourceOptions;
  readonly #setAside = new SetAside(this.table);
  readonly #discovered: DiscoveredBackends;
  readonly #rejectedLog: RejectedLog;
  readonly #lookAtRejected: Spaced;
  /** What discoveries have told and the table does not have yet, by discovery. */
  readonly #found = new Map<number, readonly DiscoveredBackend[]>();
  readonly #takeFound: Spaced;
  readonly #listeners = new Set<(changeSet: ChangeSet) => void>();
  readonly #waiters = new Set<Waiter>();
  readonly #stopping = new AbortController();
  #unsubscribes: readonly (() => void)[] = [];
  #following: Promise<void> = Promise.resolve();
  /** Before the store is read again. */
  #pauseMs = limits.sourceRetryMsMin;

  /**
   * Reads the table, however long the store is away, and waits a little for what discovery finds. Rejects as
   * the store does when reading again cannot help, and with "cancelled" when `signal` aborts.
   */
  static async start(options: TableSourceOptions): Promise<TableSource> {
    const source = new TableSource(options);
    try {
      await Promise.all([source.#readFirst(), source.#discover()]);
    } catch (error) {
      await source.stop();
      throw error;
    }
    source.#following = source.#follow();
    return source;
  }

  private constructor(options: TableSourceOptions) {
    const { system, log, store, discoveries = [] } = options;
    this.#options = options;
    this.discoveries = discoveries;
    this.#discovered = new DiscoveredBackends(this.table, discoveries.length);
    this.stored = new StoreContent(this.table, this.#setAside, this.#discovered);
    this.#rejectedLog = new RejectedLog(log);
    this.#lookAtRejected = new Spaced({
      system,
      periodMs: limits.rejectedLookEveryMs,
      action: () => this.#rejectedLog.look(store.rejected),
    });
    this.#takeFound = new Spaced({
      system,
      periodMs: limits.discoveryUpdateEveryMs,
      action: () => this.#applyFound(),
    });
  }

  /** Routes that the store holds and that cannot serve beside the others. */
  get rejected(): readonly RejectedEntry[] {
    return this.#setAside.entries;
  }

  /** The same ones, as whoever waits for their changes hears of them. */
  unserved(): Iterable<UnservedRoute> {
    return this.#setAside.unserved();
  }

  /** What is wrong with the store at the moment, in words; undefined: nothing. */
  get trouble(): string | undefined {
    const { detail } = standingOf(this.#options.store, this);
    return detail === "" ? undefined : detail;
  }

  /** The table came from the copy on this node's disk: the store has not been reached yet. */
  get stale(): boolean {
    return standingOf(this.#options.store, this).state === "stale";
  }

  /** Backends that the discovery at this place of `discoveries` names now. */
  discoveredCount(discovery: number): number {
    return this.#discovered.countOf(discovery);
  }

  /**
   * Calls `listener` after each change was applied to `table`; the answer ends it. A change of discovery has
   * the revision of the one before; a lower one means that revisions are counted anew.
   */
  subscribe(listener: (changeSet: ChangeSet) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  reached(revision: Revision, signal: AbortSignal): Promise<void> {
    if (this.table.revision >= revision || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const finish = (): void => {
        this.#waiters.delete(waiter);
        signal.removeEventListener("abort", finish);
        resolve();
      };
      const waiter: Waiter = { revision, resolve: finish };
      this.#waiters.add(waiter);
      signal.addEventListener("abort", finish, { once: true });
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const unsubscribe of this.#unsubscribes) unsubscribe();
    this.#lookAtRejected.stop();
    this.#takeFound.stop();
    await this.#following;
    for (const waiter of this.#waiters) waiter.resolve();
  }

  /** Again and again while the store is away: an empty table instead would take every route away. */
  async #readFirst(): Promise<void> {
    const { store, log, signal = this.#stopping.signal } = this.#options;
    const told = new Set<string>();
    for (;;) {
      try {
        this.#reconcile(await store.read());
        this.#pauseMs = limits.sourceRetryMsMin;
        return this.#lookAtRejected.ask();
      } catch (error) {
        const cause = RouterError.from(error);
        if (cause.code !== "store-unavailable") throw cause;
        if (!told.has(cause.message)) {
          log.warn("the store cannot be read; the node starts once it can", {
            store: store.name,
            cause: cause.message,
          });
        }
        told.add(cause.message);
        await this.#pause(signal);
        if (signal.aborted || this.#stopping.signal.aborted) throw givenUp(store, cause);
      }
    }
  }

  /** Begins to listen to every discovery; resolves when each has told its first set, or it takes too long. */
  async #discover(): Promise<void> {
    if (this.discoveries.length === 0) return;
    const { system, signal = this.#stopping.signal } = this.#options;
    this.#unsubscribes = this.discoveries.map((discovery, place) =>
      discovery.subscribe((found) => {
        this.#found.set(place, found);
        this.#takeFound.ask();
      }),
    );
    const late = new AbortController();
    const cancel = system.after(limits.discoveryStartMsMax, () => late.abort());
    const either = AbortSignal.any([late.signal, signal, this.#stopping.signal]);
    await Promise.all(this.discoveries.map((discovery) => discovery.started(either)));
    cancel();
    this.#applyFound();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#watch();
        if (!signal.aborted)
          throw new RouterError("store-unavailable", "the watch ended by itself");
      } catch (error) {
        await this.#readAgain(RouterError.from(error));
      }
    }
  }

  /** Applies what the store tells, until that ends. */
  async #watch(): Promise<void> {
    const { store, system } = this.#options;
    const { signal } = this.#stopping;
    // That a read succeeds proves little: a watch that lasts, or brings something, does.
    const cancel = system.after(limits.sourceSettledMs, () => this.#settled());
    try {
      for await (const changeSet of store.watch(this.table.revision, signal)) {
        // What is repeated was applied already.
        if (changeSet.revision > this.table.revision) this.#apply(changeSet);
        this.#settled();
      }
    } finally {
      cancel();
    }
  }

  #settled(): void {
    this.#pauseMs = limits.sourceRetryMsMin;
    if (this.failure === undefined) return;
    this.failure = undefined;
    const { store, log } = this.#options;
    log.info("the store is followed again", { store: store.name, revision: this.table.revision });
  }

  #failed({ message: cause }: RouterError): void {
    const { store, system, log } = this.#options;
    if (this.failure === undefined) {
      log.warn("the store cannot be followed; traffic goes on with the last table", {
        store: store.name,
        revision: this.table.revision,
        cause,
      });
    }
    this.failure = { cause, sinceMs: this.failure?.sinceMs ?? system.wallMs() };
  }

  /** Until it can be read, ever more slowly. A store that has forgotten what followed is read at once. */
  async #readAgain(cause: RouterError): Promise<void> {
    const forgotten = cause.code === "out-of-range" && this.#pauseMs === limits.sourceRetryMsMin;
    if (forgotten) this.#pauseMs *= 2;
    else this.#failed(cause);
    for (let first = forgotten; ; first = false) {
      if (!first) await this.#pause(this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      try {
        return this.#reconcile(await this.#options.store.read());
      } catch (error) {
        this.#failed(RouterError.from(error));
      }
    }
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const either = AbortSignal.any([signal, this.#stopping.signal]);
    await sleep(this.#options.system, this.#pauseMs, either);
    this.#pauseMs = Math.min(this.#pauseMs * 2, limits.sourceRetryMsMax);
  }

  /** Makes the table what `snapshot` says, as one change, unless nothing differs. */
  #reconcile(snapshot: Snapshot): void {
    const { store } = this.#options;
    const { revision } = this.table;
    // Stores that several nodes share hold what they do not believe: what they show is meant.
    if (snapshot.revision < revision && store.members === undefined) {
      throw behind(snapshot.revision, revision);
    }
    const changes = differenceOf(this.stored.snapshot(), snapshot);
    if (changes.length === 0 && snapshot.revision === revision) return;
    if (snapshot.revision < revision) this.#beginEra();
    this.#apply({ revision: snapshot.revision, changes });
  }

  /** Revisions of before mean nothing any more: nobody waits for one of them. */
  #beginEra(): void {
    this.table.revision = revisionZero;
    this.era++;
    for (const waiter of this.#waiters) waiter.resolve();
  }

  #apply(changeSet: ChangeSet): void {
    const { changeSet: consistent, came, went } = this.#setAside.admit(changeSet);
    const admitted = this.#discovered.admit(consistent);
    this.table.apply(admitted);
    this.changeSetsTotal++;
    this.#rejectedLog.came(came);
    this.#rejectedLog.went(went);
    this.#lookAtRejected.ask();
    this.#tell(admitted);
    for (const waiter of this.#waiters) {
      if (waiter.revision <= this.table.revision) waiter.resolve();
    }
  }

  /** Takes the newest set of every discovery that has told one, as one change. */
  #applyFound(): void {
    const changes = this.#discovered.replace(this.#found);
    this.#found.clear();
    if (changes.length === 0) return;
    const changeSet = { revision: this.table.revision, changes };
    this.table.apply(changeSet);
    this.#tell(changeSet);
  }

  #tell(changeSet: ChangeSet): void {
    for (const listener of this.#listeners) listener(changeSet);
  }
}

function givenUp({ name }: Store, cause: RouterError): RouterError {
  return new RouterError(
    "cancelled",
    `the start was given up while ${name} could not be read: ${cause.message}`,
    {},
    { cause },
  );
}

/** Somebody put an old copy of the store in place: what serves is not given up for that. */
function behind(revision: Revision, served: Revision): RouterError {
  return new RouterError(
    "store-unavailable",
    `the store is at revision ${revision}, behind the ${served} that this node serves: if an old copy was restored on purpose, restart the node`,
  );
}
