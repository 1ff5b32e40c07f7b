// What every store does with a Write before it stores anything: compare, then number.

import type { Change, ChangeSet } from "../model/change.ts";
import { RouterError } from "../model/errors.ts";
import { parseRevision, type Revision } from "../model/revision.ts";
import type { Write } from "./store.ts";

/** Throws "revision-conflict" unless the table is where the decision was made. */
export function checkWrite(write: Write, current: Revision): void {
  if (write.changes.length === 0) {
    throw new RouterError("invalid-argument", "a write holds at least one change");
  }
  if (write.expected !== current) throw revisionConflict(write.expected, current);
}

/** Somebody wrote first. */
export function revisionConflict(expected: Revision, current: Revision): RouterError {
  return new RouterError(
    "revision-conflict",
    `the table is at revision ${current}, not at ${expected}: read again, then retry`,
    { metadata: { current: String(current) } },
  );
}

/** The changes as they are stored: one revision for all, on every route that is put and every backend that joins. */
export function nextChangeSet(changes: ChangeSet["changes"], current: Revision): ChangeSet {
  const revision = parseRevision(current + 1);
  return { revision, changes: changes.map((change) => numbered(change, revision)) };
}

/** A route with its revision, and with that of its match when it has it anew (0); a backend with that which brought it. */
function numbered(change: Change, revision: Revision): Change {
  if (change.kind === "backend-put" && change.backend.joined === undefined) {
    return { ...change, backend: { ...change.backend, joined: revision } };
  }
  if (change.kind !== "route-put") return change;
  const { route } = change;
  const matchRevision = route.matchRevision === 0 ? revision : route.matchRevision;
  return { ...change, route: { ...route, revision, matchRevision } };
}

export function closedError(name: string): RouterError {
  return new RouterError("store-unavailable", `the store ${name} is closed: this node is leaving`);
}
