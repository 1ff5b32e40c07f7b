// What is still open on this node where nothing new is to go: at backends that drain, and at services that are paused.
//
// Knows: which those are, by the table; asks the workers again and again while there are any, and only then. Does not
// know: what follows from it (backend-drains.ts, pausing.ts), nor how others hear of it (question-answers.ts).
//
// A count is true from the moment on when every worker serves the table that says "draining": from then on it only
// falls. So each count comes with the revision that all served before they were asked.

import type { OpenPlace } from "../channel/messages.ts";
import { openLookMsMax, openLookMsMin, openPlacesToldMax, workerAnswerMsMax } from "../limits.ts";
import type { Change, ChangeSet } from "../model/change.ts";
import { type Revision, revisionZero } from "../model/revision.ts";
import type { OpenCount, OpenWork } from "../store/members.ts";
import { type System, sleep } from "../system.ts";
import type { Serving } from "./serving.ts";
import type { TableSource } from "./table-source.ts";

export interface OpenHereParts {
  readonly source: Pick<TableSource, "table" | "subscribe">;
  readonly serving: Pick<Serving, "whenServed" | "count">;
  readonly system: System;
}

/**
 * "ended": a place is empty, or was looked at for the first time; "less": somewhere less is open, or more, or the same
 * is said of a later table.
 */
export type OpenNews = "ended" | "less";

interface Place extends OpenPlace {
  /** undefined: not looked at yet. */
  inFlight: number | undefined;
}

export class OpenHere {
  readonly #parts: OpenHereParts;
  readonly #places = new Map<string, Place>();
  readonly #listeners = new Set<(news: OpenNews) => void>();
  readonly #stopping = new AbortController();
  readonly #unsubscribe: () => void;
  /** That every worker served when the counts were taken. */
  #revision: Revision = revisionZero;
  #waking = new AbortController();
  #looking = false;
  /** Undefined: something has changed since. */
  #report: OpenWork | undefined;

  constructor(parts: OpenHereParts) {
    this.#parts = parts;
    const { source } = parts;
    this.#unsubscribe = source.subscribe((changeSet) => this.#changed(changeSet));
    for (const backend of source.table.backends()) this.#observe({ kind: "backend-put", backend });
    for (const service of source.table.services()) this.#observe({ kind: "service-put", service });
    void this.#look();
  }

  /** Aborts when this ends, and the node with it. */
  get stopped(): AbortSignal {
    return this.#stopping.signal;
  }

  stop(): void {
    this.#unsubscribe();
    this.#stopping.abort();
    this.#waking.abort();
    this.#listeners.clear();
  }

  /** Called when a count has changed. The answer ends it. */
  subscribe(listener: (news: OpenNews) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** What the other nodes are told; undefined: nothing drains and nothing is paused, or nobody has looked yet. */
  report(): OpenWork | undefined {
    if (this.#places.size === 0 || this.#revision === revisionZero) return undefined;
    return (this.#report ??= this.#reportNow());
  }

  #reportNow(): OpenWork {
    const places: OpenCount[] = [];
    for (const { service, address, inFlight = 0 } of this.#places.values()) {
      if (inFlight > 0) places.push({ service, address, inFlight });
    }
    const more = places.length > openPlacesToldMax;
    return { revision: this.#revision, places: places.slice(0, openPlacesToldMax), more };
  }

  #changed({ revision, changes }: ChangeSet): void {
    // Revisions are counted anew: what was counted under the old ones means nothing.
    if (revision < this.#revision) this.#revision = revisionZero;
    this.#report = undefined;
    let isNew = false;
    for (const change of changes) isNew = this.#observe(change) || isNew;
    if (isNew) {
      this.#waking.abort();
      void this.#look();
    }
  }

  /** Whether there is a place more. */
  #observe(change: Change): boolean {
    switch (change.kind) {
      case "backend-put": {
        const { service, address, drain } = change.backend;
        return this.#set({ service, address }, drain !== undefined);
      }
      case "backend-removed":
        return this.#set(change, false);
      case "service-put": {
        const { name, options } = change.service;
        return this.#set({ service: name, address: "" }, options?.pause !== undefined);
      }
      case "service-removed":
        return this.#set({ service: change.name, address: "" }, false);
      default:
        return false;
    }
  }

  #set({ service, address }: OpenPlace, leaves: boolean): boolean {
    const key = keyOf({ service, address });
    if (!leaves) this.#places.delete(key);
    if (!leaves || this.#places.has(key)) return false;
    this.#places.set(key, { service, address, inFlight: undefined });
    return true;
  }

  /** Again and again, as long as there is something to look at. */
  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    let pauseMs = openLookMsMin;
    while (this.#places.size > 0 && !this.#stopping.signal.aborted) {
      this.#waking = new AbortController();
      const moved = await this.#lookOnce().catch(() => false);
      pauseMs = moved ? openLookMsMin : Math.min(pauseMs * 2, openLookMsMax);
      const woken = AbortSignal.any([this.#waking.signal, this.#stopping.signal]);
      await sleep(this.#parts.system, pauseMs, woken);
      if (woken.aborted) pauseMs = openLookMsMin;
    }
    this.#looking = false;
  }

  /** Whether anything was other than before. */
  async #lookOnce(): Promise<boolean> {
    const { source, serving, system } = this.#parts;
    const { revision } = source.table;
    const places = [...this.#places.values()];
    const late = new AbortController();
    const cancel = system.after(workerAnswerMsMax, () => late.abort());
    try {
      const signal = AbortSignal.any([late.signal, this.#stopping.signal]);
      const [lag] = await serving.whenServed(revision, signal);
      const counts = await serving.count(places, signal);
      if (counts === undefined || source.table.revision < revision) return false;
      const before = this.#revision;
      // Workers that lag still serve something; the places are those of `revision`.
      this.#revision =
        lag !== undefined && lag.servedRevision < revision ? lag.servedRevision : revision;
      return this.#take(places, counts, this.#revision !== before);
    } finally {
      cancel();
    }
  }

  /** @param later Of a later table than before: somebody may wait for that word alone. */
  #take(places: readonly Place[], counts: readonly number[], later: boolean): boolean {
    this.#report = undefined;
    let isNews = later;
    let hasEnded = false;
    for (const [at, place] of places.entries()) {
      const inFlight = counts[at] ?? 0;
      if (place.inFlight === inFlight) continue;
      isNews = true;
      hasEnded ||= place.inFlight === undefined || inFlight === 0;
      place.inFlight = inFlight;
    }
    if (!isNews) return false;
    for (const listener of this.#listeners) listener(hasEnded ? "ended" : "less");
    return true;
  }
}

/** "web 10.0.0.7:80"; "web " for all of a service. */
export function keyOf({ service, address }: OpenPlace): string {
  return `${service} ${address}`;
}
