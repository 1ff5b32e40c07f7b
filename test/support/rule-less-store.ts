// A store without rules, and a table kept consistent beside it by the set-aside.

import { expect } from "vitest";
import { SetAside } from "../../src/control/set-aside.ts";
import type { Change } from "../../src/model/change.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { matchKeyOf, type Route } from "../../src/model/route.ts";
import { Table } from "../../src/model/table.ts";
import { changeSetOf } from "./table-fixtures.ts";

/** A store without rules, a table, and the set-aside between them. */
export class Follower {
  readonly table = new Table();
  readonly setAside = new SetAside(this.table);
  readonly stored = new Map<string, Route>();
  /** "+ two" when it was told to be set aside, "- two" when no more. */
  readonly told: string[] = [];
  #revision = 0;

  /** As a store would: every put has the revision of its write, and keeps that of its match. */
  write(...changes: readonly Change[]): readonly Change[] {
    this.#revision++;
    const stamped = changes.map((change) => this.#stamped(change));
    for (const change of stamped) {
      if (change.kind === "route-put") this.stored.set(change.route.name, change.route);
      if (change.kind === "route-removed") this.stored.delete(change.name);
    }
    return this.take(stamped);
  }

  take(changes: readonly Change[]): readonly Change[] {
    const { changeSet, came, went } = this.setAside.admit(
      changeSetOf(this.table.revision + 1, ...changes),
    );
    const named = changeSet.changes.map((change) =>
      change.kind === "route-put" ? change.route.name : "name" in change ? change.name : "",
    );
    expect(new Set(named).size, "no route is named twice").toBe(named.length);
    this.table.apply(changeSet);
    this.told.push(...came.map(({ key }) => `+ ${key}`), ...went.map(({ key }) => `- ${key}`));
    return changeSet.changes;
  }

  #stamped(change: Change): Change {
    if (change.kind !== "route-put") return change;
    const { route } = change;
    const revision = parseRevision(this.#revision);
    const before = this.stored.get(route.name);
    const kept = before !== undefined && matchKeyOf(before.match) === matchKeyOf(route.match);
    const given = route.matchRevision === 0 ? revision : route.matchRevision;
    const matchRevision = kept ? before.matchRevision : given;
    return { ...change, route: { ...route, revision, matchRevision } };
  }

  /** "a.test -> web", by name. */
  served(): Record<string, string> {
    return servedBy(this.table.routes());
  }

  /** As `served`, without what serves in a version that the store does not hold any more. */
  servedAsStored(): Record<string, string> {
    return servedBy(
      [...this.table.routes()].filter((route) => this.stored.get(route.name) === route),
    );
  }

  aside(): string[] {
    return this.setAside.entries.map(({ key, reason }) => `${key}: ${reason}`);
  }
}

function servedBy(routes: Iterable<Route>): Record<string, string> {
  return Object.fromEntries(
    [...routes]
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map((route) => [route.name, matchKeyOf(route.match).replace(/^http |\/$/g, "")]),
  );
}

/** With a claim as old as a hand or a backup says. */
export function claimedAt(matchRevision: number, change: Change): Change {
  if (change.kind !== "route-put") return change;
  return { ...change, route: { ...change.route, matchRevision: parseRevision(matchRevision) } };
}
