// Goal: a list takes nothing away without proof, and is believed whenever it may be.
// Method: a table of cases, each a change to an innocent list, with its verdict; then any list, held or taken by the
// one rule that matters: nothing that serves goes while there is a sign of a lost past.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Case, judge, type Ours, type Theirs } from "../../src/etcd/judge.ts";

const ours: Ours = {
  clusterId: "1",
  headerRevision: 100,
  identity: { id: "a", replaces: [] },
  serving: 12,
};
/** A later list of the same store, after some deletes that were not seen. */
const theirs: Theirs = {
  clusterId: "1",
  revision: 120,
  identity: { id: "a", replaces: [] },
  serving: 10,
  removed: 2,
  changed: 1,
  added: 0,
  contradiction: undefined,
  witness: "unknown",
};
const empty = { identity: undefined, serving: 0, removed: 12, changed: 0, revision: 120 } as const;
const same = { removed: 0, changed: 0, serving: 12 } as const;
const unmarked = { identity: undefined } as const;

interface Row {
  readonly name: string;
  readonly ours?: Partial<Ours>;
  readonly theirs?: Partial<Theirs>;
  readonly markerLost?: boolean;
  readonly verdict: string;
}

const rows: readonly Row[] = [
  { name: "a later list of the same store", verdict: "take" },
  { name: "the first list of all", ours: { clusterId: undefined, serving: 0 }, verdict: "take" },
  { name: "a list whose past is proved", theirs: { witness: "same" }, verdict: "take" },
  {
    name: "everything deleted but the marker",
    theirs: { serving: 0, removed: 12 },
    verdict: "take",
  },
  { name: "nothing at all", theirs: empty, verdict: "wiped" },
  {
    name: "nothing at all, in a new cluster",
    theirs: { ...empty, clusterId: "2" },
    verdict: "wiped",
  },
  { name: "nothing at all, at revision 1", theirs: { ...empty, revision: 1 }, verdict: "wiped" },
  { name: "entries, but no marker", theirs: unmarked, verdict: "wiped" },
  {
    name: "no marker, yet nothing changes",
    theirs: { ...unmarked, ...same },
    verdict: "take, odd",
  },
  {
    name: "no marker, nothing changes, but the watch saw the marker go",
    theirs: { ...unmarked, ...same },
    markerLost: true,
    verdict: "wiped",
  },
  { name: "the marker is back", theirs: same, markerLost: true, verdict: "take" },
  {
    name: "another store's marker",
    theirs: { identity: { id: "b", replaces: [] } },
    verdict: "replaced",
  },
  {
    name: "a marker that replaces ours",
    theirs: { identity: { id: "b", replaces: ["x", "a"] } },
    verdict: "take",
  },
  {
    name: "a marker that replaces ours, in an older store of another cluster",
    theirs: { clusterId: "2", revision: 7, identity: { id: "b", replaces: ["a"] } },
    verdict: "take anew",
  },
  {
    name: "another store's marker seen by the watch, nothing else changed",
    theirs: { ...same, identity: { id: "b", replaces: [] } },
    markerLost: true,
    verdict: "replaced",
  },
  { name: "our store in another cluster", theirs: { clusterId: "2" }, verdict: "restored" },
  {
    name: "our store in another cluster, complete",
    theirs: { clusterId: "2", ...same },
    verdict: "take anew, odd",
  },
  { name: "a revision that went back", theirs: { revision: 99 }, verdict: "restored" },
  {
    name: "a revision that went back, complete",
    theirs: { revision: 99, ...same },
    verdict: "take anew, odd",
  },
  {
    name: "a key that cannot have our past",
    theirs: { contradiction: "/p/a" },
    verdict: "restored",
  },
  { name: "a past without our newest key", theirs: { witness: "other" }, verdict: "restored" },
  {
    name: "an older store, but nothing serves here",
    ours: { serving: 0 },
    theirs: { revision: 9 },
    verdict: "take anew, odd",
  },
  { name: "no markers: a later list", ours: unmarked, theirs: unmarked, verdict: "take" },
  { name: "no markers: nothing at all", ours: unmarked, theirs: empty, verdict: "wiped" },
  {
    name: "no markers: nothing at all, but the past is ours",
    ours: unmarked,
    theirs: { ...empty, witness: "same" },
    verdict: "take",
  },
  {
    name: "no markers: another cluster",
    ours: unmarked,
    theirs: { ...unmarked, clusterId: "2" },
    verdict: "replaced",
  },
  { name: "a marker where there was none", ours: unmarked, verdict: "take" },
];

function verdictOf(row: Pick<Row, "ours" | "theirs" | "markerLost">): string {
  const verdict = judge(caseOf(row));
  if (verdict.kind === "hold") return verdict.finding;
  return `take${verdict.anew ? " anew" : ""}${verdict.sign === undefined ? "" : ", odd"}`;
}

function caseOf(row: Pick<Row, "ours" | "theirs" | "markerLost">): Case {
  return {
    name: "etcd:http://h:2379/p",
    ours: { ...ours, ...row.ours },
    theirs: { ...theirs, ...row.theirs },
    markerLost: row.markerLost === true,
  };
}

describe("judge", () => {
  test.for(rows)("$name: $verdict", (row) => {
    expect(verdictOf(row)).toBe(row.verdict);
  });

  test("says what was found, what serves meanwhile and what to do", () => {
    const verdict = judge(caseOf({ theirs: { revision: 40 } }));
    expect(verdict).toMatchObject({
      detail:
        "etcd:http://h:2379/p: its revision went back from 100 to 40. Taking it would remove 2, change 1 and add 0 entries; " +
        "the 12 that were known go on serving. Put the right data back, or take what is there with: crosspoint store accept",
    });
  });

  const identities = fc.option(
    fc.record({ id: fc.constantFrom("a", "b"), replaces: fc.subarray(["a", "b"]) }),
    { nil: undefined },
  );
  const lists = fc.record({
    clusterId: fc.constantFrom("1", "2"),
    revision: fc.constantFrom(1, 99, 100, 120),
    identity: identities,
    serving: fc.nat(3),
    removed: fc.nat(2),
    changed: fc.nat(2),
    added: fc.nat(2),
    contradiction: fc.constantFrom(undefined, "/p/a"),
    witness: fc.constantFrom("same" as const, "other" as const, "unknown" as const),
  });

  test("never holds what takes nothing away, nor what an operator put in place", () => {
    fc.assert(
      fc.property(lists, identities, (list, identity) => {
        const one = { ours: { identity }, theirs: list };
        const word =
          identity !== undefined &&
          list.identity?.id !== identity.id &&
          list.identity?.replaces.includes(identity.id) === true;
        if (word || list.removed + list.changed === 0) expect(verdictOf(one)).toMatch(/^take/);
      }),
    );
  });

  test("never lets go of what serves for another cluster, another store or an older revision", () => {
    fc.assert(
      fc.property(lists, identities, (list, identity) => {
        const word =
          identity !== undefined && list.identity?.replaces.includes(identity.id) === true;
        fc.pre(list.removed + list.changed > 0 && !word);
        const foreign =
          list.clusterId !== "1" ||
          list.revision < 100 ||
          (identity !== undefined && list.identity?.id !== identity.id);
        if (foreign) expect(verdictOf({ ours: { identity }, theirs: list })).not.toMatch(/^take/);
      }),
    );
  });
});
