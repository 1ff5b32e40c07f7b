// The Store that many nodes share: an etcd, followed.
//
// Knows: how the parts work together. Does not know: keys and values (etcd-layout, etcd-values), what batches come
// to (etcd-mirror), how a write is stored (etcd-commit), who the nodes are (etcd-members), what is believed
// (etcd/followed-prefix).
//
// What is read is what was followed, so reading never waits for etcd once there was a first content, and a node
// whose etcd is away goes on with what it knows. What is written goes to etcd itself and is compared there.

import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Etcd, KeyValue } from "../etcd/etcd.ts";
import type { Followed, FollowedBatch, FollowedCondition, FollowedLog } from "../etcd/followed.ts";
import { FollowedPrefix } from "../etcd/followed-prefix.ts";
import {
  acceptTriesMax,
  historyChangesMax,
  historyRevisionsMax,
  unfoldLeftMsMin,
} from "../limits.ts";
import type { BackendKey } from "../model/backend.ts";
import type { ChangeSet, Snapshot } from "../model/change.ts";
import { RouterError, unreachable } from "../model/errors.ts";
import { parseRevision, type Revision } from "../model/revision.ts";
import type { System } from "../system.ts";
import { follow, type HistoryBounds } from "./change-log.ts";
import { EtcdCommits } from "./etcd-commit.ts";
import { counts, EtcdLayout, isEntry } from "./etcd-layout.ts";
import { acceptedMarker, decodeMarker, encodeMarker, type Marker } from "./etcd-marker.ts";
import { EtcdMembers } from "./etcd-members.ts";
import { EtcdMirror } from "./etcd-mirror.ts";
import { findRequest } from "./etcd-requests.ts";
import { EtcdSealingKey } from "./etcd-sealing-key.ts";
import { loadNodeId } from "./node-id.ts";
import type { RejectedEntry, RequestRecord, Store, StoreCondition, Write } from "./store.ts";
import { closedError } from "./write-check.ts";

export interface EtcdStoreOptions {
  /** The store's own from here on: it closes it. */
  readonly etcd: Etcd;
  /** "/crosspoint": without a slash at its end. */
  readonly prefix: string;
  readonly nodeName: string;
  /** The node's state directory: for the copy and the node's id. */
  readonly directory: string;
  readonly system: System;
  readonly log: FollowedLog;
  /** Takes what etcd holds at the start, for all nodes, if it would be held. */
  readonly accept?: boolean;
  readonly history?: HistoryBounds;
}

export class EtcdStore implements Store {
  readonly name: string;
  readonly members: EtcdMembers;
  readonly sealingKey: EtcdSealingKey;
  readonly #etcd: Etcd;
  readonly #system: System;
  readonly #layout: EtcdLayout;
  readonly #mirror: EtcdMirror;
  readonly #followed: Followed;
  readonly #commits: EtcdCommits;
  readonly #openedMs: number;
  readonly #closing = new AbortController();
  #conditionChanged = Promise.withResolvers<void>();
  #acceptsFirst: boolean;
  /** What a writer has not finished: the open batch, or the last part that nobody names. */
  #left: string | undefined;
  #cancelLeft: () => void = () => {};

  /**
   * Resolves without waiting for etcd, which is followed from now on. Rejects "failed-precondition" when the state
   * directory keeps no node id: with etcd away nobody would hear of that before it is needed.
   */
  static async open(options: EtcdStoreOptions): Promise<EtcdStore> {
    try {
      await loadNodeId(options.directory);
    } catch (error) {
      await options.etcd.close();
      throw error;
    }
    return new EtcdStore(options);
  }

  private constructor(options: EtcdStoreOptions) {
    const { etcd, prefix, nodeName, directory, system, log } = options;
    const bounds = { revisionsMax: historyRevisionsMax, changesMax: historyChangesMax };
    this.name = `etcd:${etcd.name}${prefix}`;
    this.#etcd = etcd;
    this.#system = system;
    this.#openedMs = system.wallMs();
    this.#acceptsFirst = options.accept === true;
    const layout = new EtcdLayout(prefix);
    this.#layout = layout;
    this.#mirror = new EtcdMirror(layout, options.history ?? bounds);
    this.members = new EtcdMembers({ etcd, prefix, nodeName, directory, system, log });
    this.sealingKey = new EtcdSealingKey({
      etcd,
      key: layout.sealingKey,
      system,
      log,
      isCurrent: () => this.condition.kind === "current",
    });
    this.#followed = FollowedPrefix.open({
      etcd,
      system,
      log,
      name: this.name,
      range: layout.whole,
      skip: layout.unfollowed,
      counts: (key) => counts(layout.place(key)),
      serves: (key) => isEntry(layout.place(key)),
      copyPath: join(directory, copyName(prefix)),
      owner: {
        apply: (batch) => this.#apply(batch),
        conditionChanged: (condition) => this.#becomes(condition),
        identityOf: (get) => this.#mirror.identityOf(get),
      },
    });
    this.#commits = new EtcdCommits({
      etcd,
      system,
      layout,
      nodeName,
      mirror: this.#mirror,
      followed: this.#followed,
      admit: () => this.#admit(),
      closing: this.#closing.signal,
    });
  }

  get rejected(): readonly RejectedEntry[] {
    return this.#mirror.rejected;
  }

  get repairsTotal(): number {
    return this.#followed.repairsTotal;
  }

  get condition(): StoreCondition {
    const { condition } = this.#followed;
    switch (condition.kind) {
      case "starting": {
        const cause = condition.cause ?? "etcd has not answered yet";
        return { kind: "away", sinceMs: this.#openedMs, cause, stale: false };
      }
      case "away": {
        const { sinceMs, cause, fromCopy } = condition;
        return { kind: "away", sinceMs, cause, stale: fromCopy };
      }
      case "current":
      case "held":
        return condition;
      default:
        return unreachable(condition);
    }
  }

  async read(): Promise<Snapshot> {
    await this.#content();
    return this.#mirror.snapshot();
  }

  async commit(write: Write): Promise<Revision> {
    this.#checkOpen();
    return this.#commits.commit(write);
  }

  async findRequest(id: string): Promise<RequestRecord | undefined> {
    this.#checkOpen();
    const found = await findRequest(this.#etcd, this.#layout, id);
    if (found?.batch === undefined) return found;
    const { batch, ...record } = found;
    return { ...record, ...(await this.#spanOf(batch, record.revision)) };
  }

  async keepAlive(backend: BackendKey): Promise<boolean> {
    this.#checkOpen();
    const key = this.#layout.backend(backend);
    const lease = this.#followed.entries.get(key)?.lease ?? "0";
    if (lease === "0" || (await this.#etcd.keepLeaseAlive(lease)) === 0) return false;
    // etcd before 3.4.38 can say "renewed" of a lease that was revoked, and its keys with it.
    return (await this.#newest(key))?.lease === lease;
  }

  async *watch(after: Revision, signal: AbortSignal): AsyncGenerator<ChangeSet, void, void> {
    await this.#started(signal);
    yield* follow(this.#mirror.log, this.#mirror.log, after, signal);
  }

  async accept(): Promise<boolean> {
    this.#checkOpen();
    if (this.#followed.condition.kind !== "held") return false;
    // The marker first: whoever lists now, this node or another, finds its own store replaced by this one.
    await this.#replaceMarker();
    await this.#followed.accept();
    return true;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#cancelLeft();
    this.#mirror.log.close();
    this.members.close();
    this.sealingKey.close();
    await this.#followed.close();
    await this.#etcd.close();
  }

  #apply(batch: FollowedBatch): ReadonlySet<string> {
    const unread = this.#mirror.apply(batch);
    this.members.observe(batch.puts, batch.deletes);
    this.sealingKey.observe(batch.puts, batch.deletes);
    this.#lookForLeft();
    return unread;
  }

  #becomes(condition: FollowedCondition): void {
    this.#conditionChanged.resolve();
    this.#conditionChanged = Promise.withResolvers();
    this.sealingKey.look();
    if (condition.kind === "starting" || condition.kind === "away" || !this.#acceptsFirst) return;
    this.#acceptsFirst = false;
    // What fails stays held, and tells so; the operator can accept again.
    if (condition.kind === "held") void this.accept().catch(() => undefined);
  }

  /** Resolves with the first content; rejects when there is none and etcd cannot be read. */
  async #content(): Promise<void> {
    this.#checkOpen();
    while (!this.#mirror.begun) {
      const { condition } = this.#followed;
      if (condition.kind === "starting" && condition.cause !== undefined) {
        throw new RouterError("store-unavailable", `${this.name}: ${condition.cause}`);
      }
      await Promise.race([this.#conditionChanged.promise, this.#started(this.#closing.signal)]);
      this.#checkOpen();
    }
  }

  async #started(signal: AbortSignal): Promise<void> {
    if (!this.#mirror.begun) await this.#followed.started(signal);
  }

  /** Rejects when nothing may be written now. */
  async #admit(): Promise<void> {
    await this.#content();
    const { condition } = this;
    if (condition.kind === "current") return;
    if (condition.kind === "held") throw this.#notWritten(condition.detail);
    if (condition.stale) throw this.#notWritten(condition.cause);
    // Better not to begin than to have to find out what became of it.
    await this.#etcd.range({ key: this.#layout.guard, keysOnly: true });
  }

  #notWritten(cause: string): RouterError {
    return new RouterError("store-unavailable", `${this.name}: nothing is written: ${cause}`);
  }

  /** What is under the key now: the watch tells, while it works. */
  async #newest(key: string): Promise<KeyValue | undefined> {
    if (this.#followed.condition.kind === "current") return this.#followed.entries.get(key);
    const { kvs } = await this.#etcd.range({ key });
    return kvs[0];
  }

  /** Of a large write that was stored at `first`: what its caller was told, as far as that can still be seen. */
  async #spanOf(
    batch: string,
    first: Revision,
  ): Promise<Pick<RequestRecord, "revision" | "since">> {
    if (this.#mirror.open?.id === batch) await this.#commits.finish().catch(() => undefined);
    const { kvs } = await this.#etcd.range({ key: this.#layout.guard });
    const marker = markerIn(kvs[0]);
    const isLast = marker?.write === batch && marker.batch === undefined;
    // Once others have written the table is past either.
    return {
      since: first,
      revision: parseRevision(isLast ? (kvs[0]?.modRevision ?? first) : first),
    };
  }

  /** What a writer left unfinished is finished after a while by one of the nodes that see it. */
  #lookForLeft(): void {
    const { open, partKeys } = this.#mirror;
    const left = open?.id ?? [...partKeys].at(-1);
    if (left === this.#left) return;
    this.#left = left;
    this.#cancelLeft();
    if (left !== undefined) this.#finishLater();
  }

  #finishLater(): void {
    const system = this.#system;
    const delayMs = unfoldLeftMsMin * (1 + system.random());
    this.#cancelLeft = system.after(delayMs, () => {
      const again = (): void => {
        if (this.#left !== undefined && !this.#closing.signal.aborted) this.#finishLater();
      };
      void this.#commits.finish().then(again, again);
    });
  }

  /** Names what etcd holds a new store, which stands for the one that was followed and the one that is there. */
  async #replaceMarker(): Promise<void> {
    const key = this.#layout.guard;
    for (let tries = 1; tries <= acceptTriesMax; tries++) {
      const { kvs } = await this.#etcd.range({ key });
      const marker = acceptedMarker(this.#mirror.marker, markerIn(kvs[0]));
      const { succeeded } = await this.#etcd.transact({
        compare: [{ key, target: "mod", revision: kvs[0]?.modRevision ?? 0 }],
        success: [{ kind: "put", key, value: encodeMarker(marker, "accepted", marker.batch) }],
        failure: [],
      });
      if (succeeded) return;
    }
    throw new RouterError(
      "store-unavailable",
      `${this.name}: others write to it all the time, so it could not be accepted: try again`,
    );
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw closedError(this.name);
  }
}

/** In the state directory; one for each prefix, so that a mistyped one does not take the good one's place. */
function copyName(prefix: string): string {
  return `etcd-${createHash("sha256").update(prefix).digest("hex").slice(0, 16)}.copy`;
}

/** undefined: none, or none that can be read. */
function markerIn(kv: KeyValue | undefined): Marker | undefined {
  try {
    return decodeMarker(kv?.text ?? "");
  } catch {
    return undefined;
  }
}
