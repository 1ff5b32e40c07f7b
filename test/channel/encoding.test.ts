// Goal: a snapshot that went through shared memory is the same snapshot.
// Method: tables of several sizes, names beyond ASCII in labels, and the threads' own way of copying.

import { describe, expect, test } from "vitest";
import { decodePiece, encodeSnapshot } from "../../src/channel/encoding.ts";
import { snapshotPieceChangesMax } from "../../src/limits.ts";
import { parseAddress } from "../../src/model/address.ts";
import type { Backend } from "../../src/model/backend.ts";
import type { Change, Snapshot } from "../../src/model/change.ts";
import {
  parseDomain,
  parsePathPrefix,
  parseRouteName,
  parseServiceName,
} from "../../src/model/names.ts";
import { parseRevision } from "../../src/model/revision.ts";
import type { Route } from "../../src/model/route.ts";
import { Policy, type Service } from "../../src/model/service.ts";
import { Table } from "../../src/model/table.ts";

const service = parseServiceName("web");

function httpRoute(n: number): Route {
  return {
    name: parseRouteName(`route-${n}`),
    match: {
      kind: "http",
      domain: parseDomain(`r${n}.example.com`),
      pathPrefix: parsePathPrefix("/"),
    },
    service,
    sticky: n % 2 === 0,
    labels: { owner: "Zoë 🦊" },
    revision: parseRevision(n + 1),
    createTimeMs: 1_790_000_000_000,
    matchRevision: parseRevision(1),
    updateTimeMs: 1_790_000_000_001,
  };
}

function backend(n: number): Backend {
  return {
    service,
    address: parseAddress(`10.0.${n >> 8}.${n & 255}:80`),
    weight: 100,
    labels: {},
    ttlMs: n % 3 === 0 ? undefined : 5_000,
  };
}

function snapshotOf(routes: number, backends: number, services: readonly Service[]): Snapshot {
  return {
    revision: parseRevision(routes + backends + 1),
    routes: Array.from({ length: routes }, (_, n) => httpRoute(n)),
    services,
    backends: Array.from({ length: backends }, (_, n) => backend(n)),
  };
}

function decoded(pieces: readonly Uint8Array[], revision: Snapshot["revision"]): Snapshot {
  const table = new Table();
  const changes: Change[] = pieces.flatMap((piece) => decodePiece(piece));
  table.apply({ revision, changes });
  return table.snapshot();
}

describe("encodeSnapshot", () => {
  test.for([
    { name: "one route", snapshot: snapshotOf(1, 0, []) },
    {
      name: "a few of everything",
      snapshot: snapshotOf(5, 4, [
        { name: service, policy: Policy.RoundRobin },
        { name: parseServiceName("other"), policy: undefined },
      ]),
    },
    { name: "a full piece", snapshot: snapshotOf(snapshotPieceChangesMax, 0, []) },
    { name: "a full piece and one more", snapshot: snapshotOf(snapshotPieceChangesMax + 1, 3, []) },
  ])("gives back what went in: $name", ({ snapshot }) => {
    expect(decoded(encodeSnapshot(snapshot), snapshot.revision)).toEqual(snapshot);
  });

  test("an empty table has no pieces", () => {
    expect(encodeSnapshot(snapshotOf(0, 0, []))).toEqual([]);
  });

  test("no piece holds more than the limit", () => {
    const pieces = encodeSnapshot(snapshotOf(2 * snapshotPieceChangesMax + 1, 1, []));
    expect(pieces.map((piece) => decodePiece(piece).length)).toEqual([2000, 2000, 1, 1]);
  });

  test("the bytes are shared, not copied, when they are posted", () => {
    const [piece] = encodeSnapshot(snapshotOf(1, 0, []));
    const copy = structuredClone(piece!);
    piece![0] = 0x20;
    expect(copy[0]).toBe(0x20);
  });
});
