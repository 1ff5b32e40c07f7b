// What a client was told, against what the table says afterwards. Knows routes and revisions; does not know
// how the writes travelled (a store in a child process, or a whole node over gRPC).

import type { Change, ChangeSet, Snapshot } from "../../src/model/change.ts";
import { revisionZero } from "../../src/model/revision.ts";
import { Table } from "../../src/model/table.ts";

/** One write: noted before it is sent; `revision` once it was acknowledged. */
export interface LedgerEntry {
  readonly changes: readonly Change[];
  revision?: number;
}

/** What is there when the dust has settled. */
export interface Found {
  readonly snapshot: Snapshot;
  /** Every ChangeSet after `from`, the snapshot that the ledger's writes began on. */
  readonly history: readonly ChangeSet[];
}

/**
 * Every way in which what was found breaks the promises; empty when it keeps them:
 * every acknowledged write is in the history under its revision, whole; everything in the history was asked
 * for, whole; revisions only grow; the table is what its history makes of the one before.
 */
export function brokenPromises(
  ledger: readonly LedgerEntry[],
  from: Snapshot,
  found: Found,
): string[] {
  const broken: string[] = [];
  const asked = new Map<string, number>();
  for (const { changes } of ledger) count(asked, textOf(changes), 1);

  const table = Table.of(from);
  const byRevision = new Map<number, string>();
  for (const { revision, changes } of found.history) {
    if (revision <= table.revision) {
      broken.push(`revision ${revision} follows ${table.revision}`);
      continue;
    }
    table.apply({ revision, changes });
    const text = textOf(changes);
    byRevision.set(revision, text);
    if (count(asked, text, -1) < 0)
      broken.push(`revision ${revision} is no write that was asked for: ${text}`);
  }
  for (const { revision, changes } of ledger) {
    if (revision === undefined) continue;
    const there = byRevision.get(revision);
    if (there === undefined) broken.push(`acknowledged revision ${revision} is lost`);
    else if (there !== textOf(changes))
      broken.push(`acknowledged revision ${revision} is something else: ${there}`);
  }
  if (tableText(table.snapshot()) !== tableText(found.snapshot)) {
    broken.push(
      `the table at ${found.snapshot.revision} is not what its history makes of revision ${from.revision}`,
    );
  }
  return broken;
}

function count(counts: Map<string, number>, text: string, by: number): number {
  const now = (counts.get(text) ?? 0) + by;
  counts.set(text, now);
  return now;
}

/** The same before and after a store stamped it. */
function textOf(changes: readonly Change[]): string {
  return textOfValue(
    changes.map((change) =>
      change.kind === "route-put"
        ? { ...change, route: { ...change.route, revision: revisionZero } }
        : change,
    ),
  );
}

function tableText({ revision, routes, services, backends }: Snapshot): string {
  const lines = [...routes, ...services, ...backends].map(textOfValue);
  return [revision, ...lines.toSorted()].join("\n");
}

/** JSON, whatever the order of the fields. */
function textOfValue(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
