// Takes backends that drain out of service once nothing is open there on any node, or their time is over.
//
// Every node that shares the store runs one of these, and all see the same: the table, and what each node reports. The
// node that was asked acts at once. The others wait a little, by chance differently long, and act only if it has not:
// so a drain ends when its node dies. Each step is decided on the table of that moment (leaving-plan.ts); whoever comes
// second finds it done.
//
// Knows: which backends drain, until when. Does not know: how work is counted (open-work.ts), nor how a call waits.

import { drainOrphanMs, drainRetryMs } from "../limits.ts";
import type { Address } from "../model/address.ts";
import { type Backend, type BackendKey, backendKeyOf } from "../model/backend.ts";
import type { Change, ChangeSet } from "../model/change.ts";
import { RouterError } from "../model/errors.ts";
import type { ServiceName } from "../model/names.ts";
import { type Revision, revisionZero } from "../model/revision.ts";
import { type System, sleep } from "../system.ts";
import type { Log } from "../telemetry/log-port.ts";
import type { LeavingDraft } from "./leaving-plan.ts";
import type { OpenEverywhere, StillOpen } from "./open-everywhere.ts";
import type { TableSource } from "./table-source.ts";

export interface BackendDrainsParts {
  readonly source: Pick<TableSource, "table" | "subscribe" | "stored">;
  readonly open: Pick<OpenEverywhere, "at" | "subscribe" | "isAlone">;
  /** Stores one step, by this node's writer; "all": and waits a while until every node serves it. */
  readonly write: (draft: LeavingDraft, wait: "none" | "all") => Promise<unknown>;
  /** Aborts when the node ends. */
  readonly stopped: AbortSignal;
  readonly system: System;
  readonly log: Log;
}

/** How a backend that was to drain went. */
export interface DrainEnd {
  /** That removed it. */
  readonly revision: Revision;
  readonly cut: number;
  /** false: somebody else removed it first; what was open there goes on. */
  readonly hasDrained: boolean;
}

interface Drain {
  readonly key: BackendKey;
  readonly service: ServiceName;
  readonly address: Address;
  /** That made it drain. */
  since: Revision;
  /** How long this node lets the one that was asked go first, in ms; 0: it was asked itself. */
  patienceMs: number;
  /** Monotonic, in ms; the wall clock may jump meanwhile. */
  dueMs: number;
  deadlineMs: number;
  isDrained: boolean;
  cut: number;
  /** When it could have been ended, monotonic, in ms; undefined: something is open. */
  overSinceMs: number | undefined;
  isEnding: boolean;
  cancel: () => void;
}

/** Who waits for a backend to be gone. */
export interface DrainWait {
  /**
   * Resolves once the backend is gone by a later revision than `after`, which wrote its drain. Never rejects; undefined
   * when `signal` aborts first.
   */
  ended(after: Revision, signal: AbortSignal): Promise<DrainEnd | undefined>;
  forget(): void;
}

export class BackendDrains {
  readonly #parts: BackendDrainsParts;
  readonly #drains = new Map<BackendKey, Drain>();
  readonly #waiting = new Map<BackendKey, Set<Waiting>>();
  constructor(parts: BackendDrainsParts) {
    this.#parts = parts;
    const { source, open, stopped } = parts;
    const ends = [
      source.subscribe((changeSet) => this.#changed(changeSet)),
      open.subscribe(() => this.#lookAtAll()),
    ];
    stopped.addEventListener("abort", () => {
      for (const end of ends) end();
      for (const { cancel } of this.#drains.values()) cancel();
    });
    for (const backend of source.table.backends()) this.#observe(backend, source.table.revision);
  }

  /** To be called before the drain is written, so that no end is missed. */
  expect(service: ServiceName, address: Address): DrainWait {
    const key = backendKeyOf({ service, address });
    const waiting = new Waiting();
    const all = this.#waiting.get(key) ?? new Set();
    this.#waiting.set(key, all.add(waiting));
    return {
      ended: (after, signal) => {
        this.#asked(key);
        return waiting.ended(after, signal);
      },
      forget: () => {
        all.delete(waiting);
        if (all.size === 0 && this.#waiting.get(key) === all) this.#waiting.delete(key);
      },
    };
  }

  /** This node is to end it, as soon as it can be ended; also when whoever asked has left. */
  #asked(key: BackendKey): void {
    const drain = this.#drains.get(key);
    if (drain === undefined) return;
    drain.patienceMs = 0;
    this.#look(drain);
  }

  #changed({ revision, changes }: ChangeSet): void {
    // Revisions are counted anew: nobody will report one of before.
    for (const drain of this.#drains.values()) {
      if (drain.since > revision) drain.since = revision;
    }
    for (const change of changes) this.#apply(change, revision);
  }

  #apply(change: Change, revision: Revision): void {
    if (change.kind === "backend-put") this.#observe(change.backend, revision);
    else if (change.kind === "backend-removed") this.#gone(backendKeyOf(change), revision);
  }

  #observe(backend: Backend, revision: Revision): void {
    const key = backendKeyOf(backend);
    const { drain: said, service, address } = backend;
    // Discovery has it still: the registered one, which drained, is gone.
    if (said === undefined) return this.#gone(key, revision);
    const { system } = this.#parts;
    const known = this.#drains.get(key);
    const drain = known ?? this.#begun({ key, service, address, since: revision });
    drain.isDrained = said.state === "drained";
    drain.cut = said.cut ?? 0;
    if (drain.deadlineMs !== said.deadlineMs) {
      drain.deadlineMs = said.deadlineMs;
      drain.dueMs = system.monotonicMs() + (said.deadlineMs - system.wallMs());
    }
    this.#look(drain);
  }

  #begun(of: Pick<Drain, "key" | "service" | "address" | "since">): Drain {
    const { open, system } = this.#parts;
    // A call that waits here has asked this node.
    const isOwn = open.isAlone || this.#waiting.has(of.key);
    const drain: Drain = {
      ...of,
      patienceMs: isOwn ? 0 : drainOrphanMs * (1 + system.random()),
      dueMs: 0,
      deadlineMs: 0,
      isDrained: false,
      cut: 0,
      overSinceMs: undefined,
      isEnding: false,
      cancel: () => {},
    };
    this.#drains.set(of.key, drain);
    return drain;
  }

  #gone(key: BackendKey, revision: Revision): void {
    const drain = this.#drains.get(key);
    drain?.cancel();
    this.#drains.delete(key);
    // Whoever follows the table with gaps may have missed the word, but ends it itself.
    const hasDrained = drain !== undefined && (drain.isDrained || drain.isEnding);
    const end = { revision, cut: drain?.cut ?? 0, hasDrained };
    for (const waiting of this.#waiting.get(key) ?? []) waiting.gone(end);
  }

  #lookAtAll(): void {
    for (const drain of this.#drains.values()) this.#look(drain);
  }

  #look(drain: Drain): void {
    if (drain.isEnding || this.#parts.stopped.aborted) return;
    drain.cancel();
    const nowMs = this.#parts.system.monotonicMs();
    if (!drain.isDrained && !this.#isOver(drain, nowMs)) {
      drain.overSinceMs = undefined;
      return this.#lookAfter(drain, drain.dueMs - nowMs);
    }
    drain.overSinceMs ??= nowMs;
    const leftMs = drain.overSinceMs + drain.patienceMs - nowMs;
    if (leftMs > 0) return this.#lookAfter(drain, leftMs);
    void this.#end(drain);
  }

  #isOver(drain: Drain, nowMs: number): boolean {
    if (drain.dueMs <= nowMs) return true;
    const { inFlight, untold } = this.#parts.open.at(drain, drain.since);
    return inFlight === 0 && untold.length === 0;
  }

  #lookAfter(drain: Drain, ms: number): void {
    drain.cancel = this.#parts.system.after(Math.ceil(ms), () => this.#look(drain));
  }

  /** Both steps; what the store does not take is offered again. */
  async #end(drain: Drain): Promise<void> {
    const { log, system } = this.#parts;
    const { key } = drain;
    drain.isEnding = true;
    if (drain.patienceMs > 0) {
      log.warn("a drain is ended by another node than was asked", { backend: key });
    }
    for (let isTold = false; this.#drains.get(key) === drain; ) {
      try {
        await this.#endOnce(drain);
        return this.#expectGone(drain);
      } catch (error) {
        if (this.#parts.stopped.aborted) return;
        const cause = RouterError.from(error).message;
        if (!isTold)
          log.warn("the end of a drain could not be stored yet", { backend: key, cause });
        isTold = true;
        await sleep(system, drainRetryMs * (0.5 + system.random()), this.#parts.stopped);
      }
    }
  }

  async #endOnce(drain: Drain): Promise<void> {
    const { write } = this.#parts;
    const { service, address } = drain;
    if (!drain.isDrained) {
      const { inFlight: cut, untold } = this.#open(drain);
      // Two changes that come together are one to a worker: what is to be cut must have been cut before.
      const wait = cut > 0 || untold.length > 0 ? "all" : "none";
      await write({ kind: "end-drain", service, address, cut }, wait);
    }
    await write({ kind: "remove-drained", service, address }, "none");
  }

  /** It goes when the table says so; if it does not, it is looked at again. */
  #expectGone(drain: Drain): void {
    drain.cancel = this.#parts.system.after(drainRetryMs, () => {
      drain.isEnding = false;
      this.#look(drain);
    });
  }

  /** As far as nodes have told. */
  #open(drain: Drain): StillOpen {
    const open = this.#parts.open.at(drain, drain.since);
    const { inFlight, untold } = open;
    if (inFlight > 0 || untold.length > 0) {
      this.#parts.log.info("a drain's time is over", {
        backend: drain.key,
        cut: inFlight,
        untold: untold.join(", "),
      });
    }
    return open;
  }
}

class Waiting {
  #last: DrainEnd | undefined;
  #look: () => void = () => {};

  gone(end: DrainEnd): void {
    this.#last = end;
    this.#look();
  }

  ended(after: Revision, signal: AbortSignal): Promise<DrainEnd | undefined> {
    return new Promise((resolve) => {
      this.#look = () => {
        const end = (this.#last?.revision ?? revisionZero) > after ? this.#last : undefined;
        if (end === undefined && !signal.aborted) return;
        signal.removeEventListener("abort", this.#look);
        resolve(end);
      };
      signal.addEventListener("abort", this.#look);
      this.#look();
    });
  }
}
