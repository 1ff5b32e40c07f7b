// The one way in which this node changes the store.
//
// Writes of a node go one after the other: each is decided on a table that holds all earlier ones,
// so that they lose no races against each other. Other nodes may write in between; then the store
// refuses, and the write is decided anew.

import { createHash } from "node:crypto";
import { ApplyChangesResponse, type ChangeResult } from "../gen/crosspoint/v1/router.ts";
import {
  commitLateMsMax,
  commitPauseMsMax,
  commitPausesMax,
  commitTriesMax,
  writesQueuedMax,
} from "../limits.ts";
import type { Change } from "../model/change.ts";
import { invalidField, RouterError } from "../model/errors.ts";
import { parseRevision, type Revision, revisionZero } from "../model/revision.ts";
import type { RequestRecord, Store } from "../store/store.ts";
import { type System, sleep } from "../system.ts";
import { type ChangeDraft, planChanges, type Step } from "./change-plan.ts";
import type { Cluster } from "./cluster.ts";
import type { Patience } from "./deadline.ts";
import type { Wait } from "./parse-request.ts";
import { claimPorts } from "./port-claims.ts";
import { atRevision, renderResult } from "./render.ts";
import type { NodeLag, Serving } from "./serving.ts";
import type { TableView } from "./table-view.ts";

export interface WriteRequest {
  readonly drafts: readonly ChangeDraft[];
  readonly wait: Wait;
  /** 0: whatever the table's revision is. */
  readonly ifRevision: Revision;
  readonly validateOnly: boolean;
  /** "": none. */
  readonly requestId: string;
}

export interface Written {
  /** Of the write; of the table when nothing was written. */
  readonly revision: Revision;
  /** One for each draft. */
  readonly results: readonly ChangeResult[];
  readonly lagging: readonly NodeLag[];
}

export interface WriterParts {
  readonly store: Store;
  readonly view: TableView;
  readonly serving: Serving;
  /** The nodes that share the store, for WAIT_ALL. */
  readonly cluster: Cluster;
  readonly system: System;
}

/** What was decided and stored, before anybody serves it. */
interface Stored {
  readonly revision: Revision;
  readonly results: readonly ChangeResult[];
  /** What must be served for the answer to be true; not above `revision`. */
  readonly needed: Revision;
  /** What changed after this one, and up to `needed`, is what was wanted; absent: only `needed` is. */
  readonly after?: number;
  /** The commit asked the other nodes. */
  readonly asked?: boolean;
}

const notBegun = "the write began; nothing was stored";

export class Writer {
  readonly #parts: WriterParts;
  /** Whose commit is under way. */
  #committing: Patience | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #queued = 0;
  #lastRevision = revisionZero;
  /** In which count of revisions that one is; see TableView.era. */
  #lastEra = 0;

  constructor(parts: WriterParts) {
    this.#parts = parts;
  }

  /** The last revision that this node wrote; who reads afterwards wants to see it. */
  get lastRevision(): Revision {
    return this.#lastEra === this.#parts.view.era ? this.#lastRevision : revisionZero;
  }

  /** Decides, stores, waits. A call that ends before its commit has begun writes nothing. */
  async write(request: WriteRequest, patience: Patience): Promise<Written> {
    const waits = !request.validateOnly && request.wait !== "none";
    const expected =
      waits && request.wait === "all" ? this.#parts.cluster.expect(patience) : undefined;
    try {
      const stored = await this.#inTurn(() => this.#store(request, patience), patience);
      const { revision, results } = stored;
      const lagging = waits ? await this.#served(request.wait, stored, patience) : [];
      return { revision, results, lagging };
    } finally {
      expected?.();
    }
  }

  /**
   * Runs `work` after everything that was queued before it. Who runs out of time is answered, whatever `work`
   * still waits for: before the commit, that nothing was stored (`#tryOnce` checks once more); during it, that
   * nobody knows.
   */
  async #inTurn<T>(work: () => Promise<T>, patience: Patience): Promise<T> {
    patience.check(notBegun);
    if (this.#queued >= writesQueuedMax) throw queueFull(this.#queued);
    this.#queued++;
    const left = Promise.withResolvers<never>();
    const leave = (): void => {
      if (this.#committing === patience) {
        // A store that answers is quick: then the outcome is known a moment later.
        const { system } = this.#parts;
        system.after(commitLateMsMax, () => left.reject(outcomeUnknown()));
        return;
      }
      try {
        patience.check(notBegun);
      } catch (error) {
        left.reject(error);
      }
    };
    patience.signal.addEventListener("abort", leave, { once: true });
    const mine = this.#turn.then(work);
    this.#turn = mine
      .catch(() => undefined)
      .finally(() => {
        patience.signal.removeEventListener("abort", leave);
        this.#queued--;
      });
    return await Promise.race([mine, left.promise]);
  }

  async #store(request: WriteRequest, patience: Patience): Promise<Stored> {
    patience.check(notBegun);
    await this.#caughtUp(this.lastRevision, patience);
    const remembered = request.requestId !== "" && !request.validateOnly;
    const fingerprint = remembered ? fingerprintOf(request) : "";
    const { system, view } = this.#parts;
    for (let tries = 1; ; tries++) {
      patience.check(notBegun);
      const startMs = system.monotonicMs();
      const asOf = view.table.revision;
      const done = await this.#doneBefore(request, fingerprint);
      if (done !== undefined) return done;
      try {
        return await this.#tryOnce(request, patience, fingerprint, asOf);
      } catch (error) {
        const current = currentRevisionOf(error);
        if (current === undefined) throw error;
        if (request.ifRevision !== 0) return await this.#doneOr(error, request, fingerprint);
        if (tries >= commitTriesMax) throw outrun(tries, current);
        const tookMs = system.monotonicMs() - startMs;
        await this.#caughtUp(current, patience);
        await this.#pause(tries, tookMs, patience);
      }
    }
  }

  /**
   * Writers of several nodes that all decide anew at the same moment make one winner each time: a little chance
   * spares most of that work. A pause is no longer than a commit, or the winner would win again meanwhile. The
   * first loss is as good as none, and who has lost often goes at once.
   */
  async #pause(tries: number, tookMs: number, patience: Patience): Promise<void> {
    const { system } = this.#parts;
    const pauseMs = system.random() * Math.min(tookMs, commitPauseMsMax);
    // No timer is finer than 1 ms.
    if (tries === 1 || tries > commitPausesMax || pauseMs < 1) return;
    await sleep(system, pauseMs, patience.signal);
  }

  /** The same request was stored already, perhaps by another node. */
  async #doneBefore(request: WriteRequest, fingerprint: string): Promise<Stored | undefined> {
    if (fingerprint === "") return undefined;
    const record = await this.#parts.store.findRequest(request.requestId);
    return record === undefined ? undefined : replay(record, fingerprint);
  }

  async #doneOr(error: unknown, request: WriteRequest, fingerprint: string): Promise<Stored> {
    const done = await this.#doneBefore(request, fingerprint);
    if (done === undefined) throw error;
    return done;
  }

  /** `asOf`: the request id was looked for when the table was at this revision. */
  async #tryOnce(
    request: WriteRequest,
    patience: Patience,
    fingerprint: string,
    asOf: Revision,
  ): Promise<Stored> {
    const { cluster, view, serving, system } = this.#parts;
    const { table } = view;
    const base = table.revision;
    if (request.ifRevision !== 0 && request.ifRevision !== base) {
      throw conflict(request.ifRevision, base);
    }
    const steps = planChanges(request.drafts, table, system.wallMs(), view.stored);
    if (request.validateOnly) return this.#validate(steps, base);
    const claims = await claimPorts(steps, view, serving);
    try {
      const results = claims.steps.map(renderResult);
      const changes = await this.#changesOf(claims.steps);
      if (changes.length === 0) {
        return { revision: base, results, needed: neededOf(claims.steps, base) };
      }
      // Whoever stores it after `base` lets our commit fail; who did so before that is found now.
      const done = base === asOf ? undefined : await this.#doneBefore(request, fingerprint);
      if (done !== undefined) {
        claims.release();
        return done;
      }
      const answer = { revision: 0n, results, lagging: [] };
      const ask = cluster.ask();
      patience.check(notBegun);
      this.#committing = patience;
      const revision = await this.#parts.store.commit({
        expected: base,
        changes,
        ...(ask === undefined ? {} : { ask }),
        ...(fingerprint === ""
          ? {}
          : {
              request: {
                id: request.requestId,
                fingerprint,
                answer: ApplyChangesResponse.encode(answer).finish(),
              },
            }),
      });
      this.#lastRevision = revision;
      this.#lastEra = view.era;
      const asked = ask !== undefined;
      return {
        revision,
        results: atRevision(results, revision),
        needed: revision,
        after: base,
        asked,
      };
    } catch (error) {
      claims.release();
      throw error;
    } finally {
      this.#committing = undefined;
    }
  }

  /** Every port must be free; the ones that would be allocated are given back and stay 0. */
  async #validate(steps: readonly Step[], base: Revision): Promise<Stored> {
    const claims = await claimPorts(steps, this.#parts.view, this.#parts.serving);
    claims.release();
    return { revision: base, results: steps.map(renderResult), needed: base };
  }

  /** Removals first; a backend that is registered again is renewed instead, if it is still there. */
  async #changesOf(steps: readonly Step[]): Promise<Change[]> {
    const removals: Change[] = [];
    const puts: Change[] = [];
    for (const { change, renew } of steps) {
      if (change === undefined) continue;
      if (renew !== undefined && (await this.#parts.store.keepAlive(renew))) continue;
      (change.kind.endsWith("-removed") ? removals : puts).push(change);
    }
    return [...removals, ...puts];
  }

  async #caughtUp(revision: Revision, patience: Patience): Promise<void> {
    await caughtUp(this.#parts.view, revision, patience, notBegun);
  }

  /** The write stands, whatever happens here. */
  async #served(
    wait: Wait,
    { needed, after, asked = false }: Stored,
    patience: Patience,
  ): Promise<readonly NodeLag[]> {
    const { cluster, serving } = this.#parts;
    try {
      if (wait === "all") return await cluster.whenServedByAll(needed, patience, asked, after);
      return await cluster.whenServedHere(needed, patience.signal, after);
    } catch (error) {
      const reason = RouterError.from(error).message;
      return [{ node: serving.nodeName, servedRevision: revisionZero, reason }];
    }
  }
}

/** Waits until the view holds `revision`; throws "cancelled" or "deadline" when that takes too long. */
export async function caughtUp(
  view: TableView,
  revision: Revision,
  patience: Patience,
  what: string,
): Promise<void> {
  if (view.table.revision >= revision) return;
  await patience.during(view.reached(revision, patience.signal), what);
}

function outcomeUnknown(): RouterError {
  return new RouterError(
    "store-unavailable",
    "the store has not answered yet whether the write was stored: repeat it with the same request_id, or look",
    { reason: "WRITE_OUTCOME_UNKNOWN" },
  );
}

function queueFull(queued: number): RouterError {
  return new RouterError(
    "resource-exhausted",
    `${queued} writes wait for their turn already: send fewer at once, or use ApplyChanges`,
    { reason: "WRITES_QUEUED", retryAfterMs: 100 },
  );
}

function replay(record: RequestRecord, fingerprint: string): Stored {
  if (record.fingerprint !== fingerprint) {
    throw invalidField(
      "request_id",
      `was used for another request, at revision ${record.revision}: choose a new one`,
    );
  }
  const { results } = ApplyChangesResponse.decode(record.answer);
  const { revision, since = revision } = record;
  const after = since - 1;
  return { revision, results: atRevision(results, revision), needed: revision, after };
}

/** The same for the same request, however often it is sent and in whatever order its maps are. */
function fingerprintOf({ drafts, ifRevision }: WriteRequest): string {
  return createHash("sha256")
    .update(JSON.stringify([drafts, ifRevision]))
    .digest("base64url");
}

/** What must be served so that an answer "it already is so" is true. */
function neededOf(steps: readonly Step[], base: Revision): Revision {
  const revisions = steps.map((step) => step.after?.revision ?? base);
  return revisions.reduce((a, b) => (a > b ? a : b), revisionZero);
}

/** The table's revision when somebody wrote first; undefined for any other error. */
function currentRevisionOf(error: unknown): Revision | undefined {
  if (!(error instanceof RouterError) || error.code !== "revision-conflict") return undefined;
  const current = Number(error.details.metadata?.["current"]);
  return Number.isSafeInteger(current) && current >= 0 ? parseRevision(current) : undefined;
}

function outrun(tries: number, current: Revision): RouterError {
  return new RouterError(
    "revision-conflict",
    `other writers were faster ${tries} times in a row: try again, or put changes together with ApplyChanges`,
    { metadata: { current: String(current) }, retryAfterMs: 100 },
  );
}

function conflict(wanted: Revision, current: Revision): RouterError {
  return new RouterError(
    "revision-conflict",
    `if_revision: the table is at revision ${current}, not ${wanted}: read again, then retry`,
    { metadata: { current: String(current), expected: String(wanted) } },
  );
}
