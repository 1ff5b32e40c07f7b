// Goal: the ledger of the kill tests finds each way of losing or halving a write; else their zero means nothing.

import { expect, test } from "vitest";
import type { ChangeSet } from "../../src/model/change.ts";
import { parseRevision, revisionZero } from "../../src/model/revision.ts";
import { Table } from "../../src/model/table.ts";
import { putRoute, removeRoute } from "../store/samples.ts";
import { brokenPromises, type Found, type LedgerEntry } from "./write-ledger.ts";

const empty = { revision: revisionZero, routes: [], services: [], backends: [] };
const many = [putRoute("a", { labels: { n: "2" } }), putRoute("b"), removeRoute("c")];
const asked = [[putRoute("a")], many, [putRoute("d")]];

function ledgerOf(acknowledged: number): LedgerEntry[] {
  return asked.map((changes, i) => (i < acknowledged ? { changes, revision: i + 1 } : { changes }));
}

function foundAfter(writes: readonly ChangeSet["changes"][]): Found {
  const history = writes.map((changes, i) => ({ revision: parseRevision(i + 1), changes }));
  const table = new Table();
  for (const changeSet of history) table.apply(changeSet);
  return { snapshot: table.snapshot(), history };
}

test.for([2, 3])(
  "all is well when all %i acknowledged writes are there, the cut-off one or not",
  (stored) => {
    expect(brokenPromises(ledgerOf(2), empty, foundAfter(asked.slice(0, stored)))).toEqual([]);
  },
);

const half = [asked[0] ?? [], many.slice(0, 2)];
const whole = foundAfter(asked.slice(0, 2));

test.for([
  {
    name: "an acknowledged write that is lost",
    found: foundAfter(asked.slice(0, 1)),
    says: /acknowledged revision 2 is lost/,
  },
  {
    name: "an acknowledged write that is half there",
    found: foundAfter(half),
    says: /revision 2 is something else/,
  },
  {
    name: "a write that nobody asked for",
    found: foundAfter([...asked, [putRoute("evil")]]),
    says: /4 is no write that was asked for/,
  },
  {
    name: "a write that is there twice",
    found: foundAfter([...asked, [putRoute("d")]]),
    says: /4 is no write that was asked for/,
  },
  {
    name: "a table that is not its history",
    found: { ...whole, snapshot: { ...whole.snapshot, routes: whole.snapshot.routes.slice(1) } },
    says: /the table at 2 is not what its history makes/,
  },
  {
    name: "a revision that goes back",
    found: { ...whole, history: [...whole.history, ...whole.history.slice(0, 1)] },
    says: /revision 1 follows 2/,
  },
])("$name is found", ({ found, says }) => {
  expect(brokenPromises(ledgerOf(2), empty, found).join("\n")).toMatch(says);
});
