// A store whose table and watch are two things, so that the watch can be late, wrong or broken.

import type { Change, ChangeSet, Snapshot } from "../../src/model/change.ts";
import { type Revision, revisionZero } from "../../src/model/revision.ts";
import { Table } from "../../src/model/table.ts";
import type { Members } from "../../src/store/members.ts";
import type { RejectedEntry, Store, StoreCondition, Write } from "../../src/store/store.ts";
import { changeSetOf } from "./table-fixtures.ts";

/** What a watch brings next: a change, its end, or a failure. */
export type Told = ChangeSet | "end" | Error;

export class ScriptedStore implements Store {
  readonly name = "scripted:";
  condition: StoreCondition = { kind: "current" };
  members: Members | undefined;
  rejected: readonly RejectedEntry[] = [];
  table = new Table();
  /** When set, `read` rejects with it. */
  readFailure: Error | undefined;
  reads = 0;
  /** Where each watch began. */
  readonly watches: number[] = [];
  /** What `accept` answers. */
  accepts = false;
  #told: Told[] = [];
  #wake: () => void = () => {};

  read(): Promise<Snapshot> {
    this.reads++;
    if (this.readFailure !== undefined) return Promise.reject(this.readFailure);
    return Promise.resolve(this.table.snapshot());
  }

  /** The table changes, and the watch says nothing. */
  holds(revision: number, ...changes: readonly Change[]): void {
    this.table.apply(changeSetOf(revision, ...changes));
  }

  tell(...told: readonly Told[]): void {
    this.#told.push(...told);
    this.#wake();
  }

  async *watch(after: Revision, signal: AbortSignal): AsyncIterable<ChangeSet> {
    this.watches.push(after);
    signal.addEventListener("abort", () => this.#wake(), { once: true });
    while (!signal.aborted) {
      const told = this.#told.shift();
      if (told === "end") return;
      if (told instanceof Error) throw told;
      if (told !== undefined) yield told;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  commit(_write: Write): Promise<Revision> {
    return Promise.resolve(revisionZero);
  }
  findRequest(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
  keepAlive(): Promise<boolean> {
    return Promise.resolve(false);
  }
  accept(): Promise<boolean> {
    return Promise.resolve(this.accepts);
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}
