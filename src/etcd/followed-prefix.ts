// A prefix of an etcd, followed: list, watch, compare, hold, copy. The parts meet here and nowhere else.
//
// One loop: list when that is due, judge the list, then watch until the watch ends; every failure is followed by a
// pause. Beside it runs a comparison every half minute. A list and a watch never run at the same time, so that
// a list can be compared page by page with entries that stand still.
//
// Two positions: `known` is the revision of the last list, up to which the entries are exact; the watch may begin
// before it, because only a watch tells of deletes: those move the revision on and change nothing.

import {
  etcdFirstListMs,
  etcdHeldListMs,
  etcdReconcileMs,
  etcdReplayRevisionsMax,
  etcdRetryMsMax,
  etcdRetryMsMin,
  etcdWatchSettledMs,
} from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import { type System, sleep } from "../system.ts";
import { Condition } from "./condition.ts";
import { CopyFile } from "./copy-file.ts";
import { CopyKeeper } from "./copy-keeper.ts";
import type { Difference, KeySense } from "./difference.ts";
import {
  type Etcd,
  type EtcdHeader,
  type Key,
  type KeyRange,
  type KeyValue,
  shownKey,
  type WatchEvent,
} from "./etcd.ts";
import type { Followed, FollowedCondition, FollowedLog, FollowedOwner } from "./followed.ts";
import { FollowedContent, type Outcome } from "./followed-content.ts";
import { Follower, type WatchEnd } from "./follower.ts";
import type { Verdict } from "./judge.ts";
import { listAndJudge } from "./judged-list.ts";
import { Lister } from "./listing.ts";
import { Comparisons } from "./reconcile.ts";
import { askWitness } from "./witness.ts";

export interface FollowedPrefixOptions {
  readonly etcd: Etcd;
  readonly system: System;
  readonly log: FollowedLog;
  /** With an `end`. */
  readonly range: KeyRange;
  /** Inside it, with an `end`: never listed, and dropped from the watch. */
  readonly skip?: KeyRange;
  readonly owner: FollowedOwner;
  /** Which keys make `revision`; default: all. */
  readonly counts?: (key: Key) => boolean;
  /** Which keys serve: their removal or change needs proof; default: those that count. */
  readonly serves?: (key: Key) => boolean;
  /** The copy on disk; default: none. */
  readonly copyPath?: string;
  /** For messages: "etcd:http://10.0.0.5:2379/crosspoint". No credentials. */
  readonly name: string;
  /** Takes the first list whatever it says: an operator's word at the start. */
  readonly accept?: boolean;
  readonly reconcileEveryMs?: number;
}

interface Acceptance {
  readonly resolve: () => void;
  readonly reject: (cause: RouterError) => void;
}

export class FollowedPrefix implements Followed {
  repairsTotal = 0;
  listsTotal = 0;
  readonly #options: FollowedPrefixOptions;
  readonly #sense: KeySense;
  readonly #content: FollowedContent;
  readonly #condition: Condition;
  readonly #lister: Lister;
  readonly #copy: CopyKeeper | undefined;
  readonly #closing = new AbortController();
  #listDue = true;
  /** The marker went, or became another store's, before the eyes of the watch. */
  #markerLost = false;
  /** Who waits for a list that is taken whatever it says. */
  #acceptances: Acceptance[] = [];
  /** The first list is taken whatever it says. */
  #acceptFirst: boolean;
  #cancelCopy: () => void = () => {};
  /** Ends the pause that is under way. */
  #wake: () => void = () => {};
  #pauseMs = etcdRetryMsMin;
  /** Everything up to here was told by the watch. */
  #position = 0;
  /** The entries are exact as of here, or of the position. */
  #known = 0;
  #follower: Follower | undefined;
  #comparisons: Comparisons | undefined;

  /** Begins at once; see `started`. */
  static open(options: FollowedPrefixOptions): FollowedPrefix {
    const followed = new FollowedPrefix(options);
    void followed.#run(); // never rejects
    return followed;
  }

  private constructor(options: FollowedPrefixOptions) {
    const { etcd, system, log, range, owner, name, copyPath } = options;
    const counts = options.counts ?? (() => true);
    this.#options = options;
    this.#sense = { counts, serves: options.serves ?? counts };
    this.#acceptFirst = options.accept === true;
    this.#lister = new Lister({ etcd, range, skip: options.skip });
    const changed = (condition: FollowedCondition): void => owner.conditionChanged?.(condition);
    this.#condition = new Condition({ system, log, name, changed });
    this.#content = new FollowedContent(owner, this.#sense, () => this.#copy?.changed());
    if (copyPath === undefined) return;
    const file = new CopyFile(copyPath, range, system);
    this.#copy = new CopyKeeper({ file, system, log, name, take: () => this.#content.copy() });
  }

  get condition(): FollowedCondition {
    return this.#condition.current;
  }

  get revision(): number {
    return this.#content.started ? this.#content.revision : 0;
  }

  get entries(): ReadonlyMap<Key, KeyValue> {
    return this.#content.told;
  }

  started(signal: AbortSignal): Promise<void> {
    return this.#content.until(() => this.#content.started, signal);
  }

  reached(revision: number, signal: AbortSignal): Promise<void> {
    return this.#content.until(() => this.revision >= revision, signal);
  }

  async accept(): Promise<boolean> {
    if (!this.#condition.held || this.#closing.signal.aborted) return false;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#acceptances.push({ resolve, reject });
    this.#wake();
    await promise;
    return true;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#follower?.stop({ kind: "stopped" });
    this.#wake();
    this.#cancelCopy();
    // A call that hangs is not waited for: its answer changes nothing any more.
    this.#rejectAcceptances(closedError(this.#options.name));
    this.#content.close();
    await this.#copy?.close();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    await this.#readCopy();
    while (!signal.aborted) {
      const pauseMs = await this.#step();
      if (pauseMs > 0 && !signal.aborted && this.#acceptances.length === 0) {
        await this.#pause(pauseMs);
      }
    }
  }

  /** Lists if that is due, then watches until that ends; the answer is the time to wait before the next, in ms. */
  async #step(): Promise<number> {
    try {
      if (this.#listDue) await this.#list();
      if (this.#condition.held) return etcdHeldListMs;
      return this.#ended(await this.#watch());
    } catch (error) {
      if (this.#closing.signal.aborted) return 0;
      const cause = RouterError.from(error);
      this.#rejectAcceptances(cause);
      this.#startFromCopy(cause.message); // who was refused outright need not wait
      this.#condition.failed(cause.message);
      return this.#condition.held ? etcdHeldListMs : this.#nextPauseMs();
    }
  }

  /** What the copy on disk holds is told once the first list has failed, or takes too long. */
  async #readCopy(): Promise<void> {
    const { system } = this.#options;
    const startMs = system.monotonicMs();
    const copy = await this.#copy?.read();
    if (copy === undefined || this.#closing.signal.aborted) return;
    this.#content.loadCopy(copy);
    const leftMs = etcdFirstListMs - (system.monotonicMs() - startMs);
    const slow = `etcd gave no list within ${etcdFirstListMs} ms`;
    this.#cancelCopy = system.after(Math.max(0, leftMs), () => this.#startFromCopy(slow));
  }

  #startFromCopy(cause: string): void {
    if (this.#content.started || this.#content.clusterId === undefined) return;
    try {
      this.#content.tellCopy();
      this.#condition.startedFromCopy(cause);
    } catch (error) {
      this.#condition.failed(RouterError.from(error).message);
    }
  }

  async #list(): Promise<void> {
    const { etcd, system, name } = this.#options;
    const { header, difference, verdict } = await listAndJudge({
      etcd,
      system,
      name,
      lister: this.#lister,
      content: this.#content,
      sense: this.#sense,
      markerLost: this.#markerLost,
      signal: this.#closing.signal,
    });
    this.listsTotal++;
    const accepted = this.#acceptFirst || this.#acceptances.length > 0;
    if (accepted && (this.#condition.held || verdict.kind === "hold")) {
      this.#options.log.info("what etcd holds is taken as the new truth, as an operator said", {
        name,
        removed: difference.removed,
        changed: difference.changed,
        added: difference.added,
      });
    }
    if (verdict.kind === "take") this.#take(difference, header, verdict);
    else if (accepted) this.#takeAccepted(difference, header, verdict);
    else this.#hold(difference, verdict);
  }

  /** An operator's word: what a copy held of another store is no part of it. */
  #takeAccepted(difference: Difference, header: EtcdHeader, { anew }: Verdict): void {
    const fromCopy = !this.#content.started;
    if (fromCopy) {
      this.#content.forgetCopy();
      difference.forgetBefore();
    }
    this.#take(difference, header, { kind: "take", anew: anew && !fromCopy, sign: undefined });
  }

  #take(
    difference: Difference,
    header: EtcdHeader,
    { anew, sign }: Extract<Verdict, { readonly kind: "take" }>,
  ): void {
    const { log, name } = this.#options;
    if (sign !== undefined) {
      log.warn("a list of etcd is odd, but takes nothing away: it is taken", { name, sign });
    }
    this.#content.tellCopy();
    this.#content.take(difference, header, anew);
    const { revision } = this.#content;
    this.#known = header.revision;
    this.#position =
      header.revision - revision > etcdReplayRevisionsMax ? header.revision : revision;
    this.#listDue = false;
    this.#markerLost = false;
    this.#acceptFirst = false;
    this.#condition.listed();
    for (const { resolve } of this.#acceptances.splice(0)) resolve();
  }

  #hold(
    { removed, changed, added }: Difference,
    { finding, detail }: Extract<Verdict, { readonly kind: "hold" }>,
  ): void {
    this.#content.tellCopy();
    this.#condition.hold({ finding, detail, removed, changed, added });
  }

  async #watch(): Promise<WatchEnd> {
    const { etcd, system, range, skip } = this.#options;
    // A cheap call first: it renews a token that ran out, and finds that etcd is another one.
    const { header } = await etcd.range({ ...range, limit: 1, keysOnly: true });
    this.#closing.signal.throwIfAborted();
    const { clusterId } = this.#content;
    if (clusterId === undefined || !this.#content.continues(header)) return { kind: "foreign" };
    if ((await askWitness(etcd, this.#content.newest)) === "other") return { kind: "foreign" };
    this.#content.sawHeader(header);
    const over = new AbortController();
    const follower = new Follower({
      etcd,
      system,
      range,
      skip,
      clusterId,
      position: this.#position,
      created: () => this.#watching(follower, over.signal),
      events: (events, at) => this.#takeEvents(events, at),
    });
    this.#follower = follower;
    if (this.#closing.signal.aborted) return { kind: "stopped" };
    const end = await follower.run();
    over.abort();
    this.#position = follower.position;
    return end;
  }

  #watching(follower: Follower, over: AbortSignal): void {
    const { system } = this.#options;
    this.#condition.watching();
    const cancel = system.after(etcdWatchSettledMs, () => void (this.#pauseMs = etcdRetryMsMin));
    over.addEventListener("abort", cancel, { once: true });
    this.#comparisons = new Comparisons({
      lister: this.#lister,
      system,
      content: this.#content,
      everyMs: this.#options.reconcileEveryMs ?? etcdReconcileMs,
      different: (keys) => this.#different(keys, follower),
      failed: (cause) => follower.stop({ kind: "failed", cause }),
      over,
    });
  }

  #takeEvents(events: readonly WatchEvent[], header: EtcdHeader): "taken" | "refused" {
    const outcome = this.#content.outcomeOf(events, this.#known);
    if (this.#losesMarker(outcome)) {
      this.#markerLost = true;
      this.#listDue = true;
      return "refused";
    }
    this.#content.apply(outcome);
    this.#content.sawHeader(header);
    this.#comparisons?.touch(events);
    this.#pauseMs = etcdRetryMsMin;
    return "taken";
  }

  #losesMarker({ values }: Outcome): boolean {
    const { identity } = this.#content;
    if (identity === undefined) return false;
    const get = (key: Key): KeyValue | undefined =>
      values.has(key) ? values.get(key) : this.#content.entries.get(key);
    const after = this.#content.identityAmong(get);
    if (after === undefined) return true;
    return after.id !== identity.id && !after.replaces.includes(identity.id);
  }

  /** What follows from the end of a watch: the pause before the next step, in ms. */
  #ended(end: WatchEnd): number {
    switch (end.kind) {
      case "stopped":
        return 0;
      case "compacted":
      case "foreign":
        // Only what the list told already was to be told again: from there on it is still kept, perhaps.
        if (end.kind === "compacted" && this.#position < this.#known) this.#position = this.#known;
        else this.#listDue = true;
        break;
      case "failed":
        this.#condition.failed(end.cause.message);
        this.#listDue ||= end.untaken === true;
        break;
    }
    return this.#nextPauseMs();
  }

  #different(keys: readonly Key[], follower: Follower): void {
    const { log, name } = this.#options;
    const first = keys[0];
    if (first !== undefined) {
      this.repairsTotal += keys.length;
      log.warn("the watch missed something: all is listed again", {
        name,
        keys: keys.length,
        first: shownKey(first),
      });
    }
    this.#listDue = true;
    follower.stop({ kind: "stopped" });
  }

  /** Ever longer, with jitter, so that many nodes do not come back in one moment. */
  #nextPauseMs(): number {
    const pauseMs = this.#pauseMs * (0.5 + this.#options.system.random() / 2);
    this.#pauseMs = Math.min(this.#pauseMs * 2, etcdRetryMsMax);
    return pauseMs;
  }

  /** Until it is over, or somebody wants something. */
  async #pause(ms: number): Promise<void> {
    const wake = new AbortController();
    this.#wake = () => wake.abort();
    await sleep(this.#options.system, ms, wake.signal);
  }

  #rejectAcceptances(cause: RouterError): void {
    for (const { reject } of this.#acceptances.splice(0)) reject(cause);
  }
}

function closedError(name: string): RouterError {
  return new RouterError("unavailable", `${name}: it is closed`);
}
