// A process with one table and nothing else, for route-lookup.ts: `node --expose-gc lookup-process.ts SHAPE COUNT`.
// Tells what the table costs, then times lookups whenever it is asked for some.

import { setImmediate as nextTurn } from "node:timers/promises";
import { decodePiece } from "../../src/channel/encoding.ts";
import { parseRevision } from "../../src/model/revision.ts";
import type { RequestFacts } from "../../src/routing/request-facts.ts";
import { RouteTable, type TableBuilder } from "../../src/routing/route-table.ts";
import { type Draw, ManyRoutes, type Shape } from "./many-routes.ts";

export interface TableCost {
  readonly kind: "cost";
  /** Heap and array buffers after a collection; without services and backends. */
  readonly bytesPerRoute: number;
  /** Of a service with one backend. */
  readonly bytesPerService: number;
  /** A whole table in the place of one that serves, from the bytes of its snapshot. */
  readonly installMs: number;
  /** Of the turns of the event loop that this took. */
  readonly longestTurnMs: number;
}

export interface LookupTime {
  readonly kind: "time";
  /** Of each block of lookups, per lookup. */
  readonly ns: readonly number[];
}

export interface AskLookups {
  readonly draw: Draw;
  readonly blocks: number;
}

/** Long enough for the clock, short enough that most blocks are not interrupted. */
const blockLookups = 4_096;
const bytesPerRequestMax = 128;
const noFacts: RequestFacts = {
  hasMethod: () => false,
  hasField: () => false,
  hasParameter: () => false,
};

const routes = new ManyRoutes(process.argv[2] as Shape, Number(process.argv[3]));
const requests = Buffer.alloc(blockLookups * bytesPerRequestMax);
const places = Array.from({ length: blockLookups }, () => ({
  hostStart: 0,
  hostEnd: 0,
  targetStart: 0,
  pathEnd: 0,
}));
let found = 0;

const { table, cost } = await measuredTable();
process.on("message", ({ draw, blocks }: AskLookups) => {
  const ns = Array.from({ length: blocks }, () => blockNs(draw));
  process.send?.({ kind: "time", ns } satisfies LookupTime);
});
process.send?.(cost);

/** The first table is weighed; the second, put in its place, is timed and used. */
async function measuredTable(): Promise<{ table: RouteTable; cost: TableCost }> {
  const before = usedBytes();
  const builder = RouteTable.build();
  for (const piece of routes.backendPieces()) builder.add(decodePiece(piece));
  const withServices = usedBytes();
  for (const piece of routes.routePieces()) builder.add(decodePiece(piece));
  const first = builder.finish(parseRevision(1));
  const withRoutes = usedBytes();
  const turns: number[] = [];
  const next = RouteTable.build();
  await addInTurns(next, routes.backendPieces(), turns);
  await addInTurns(next, routes.routePieces(), turns);
  const startMs = performance.now();
  const second = next.finish(parseRevision(2), first);
  turns.push(performance.now() - startMs);
  usedBytes();
  return {
    table: second,
    cost: {
      kind: "cost",
      bytesPerRoute: (withRoutes - withServices) / routes.count,
      bytesPerService: (withServices - before) / routes.serviceCount,
      installMs: turns.reduce((sum, ms) => sum + ms, 0),
      longestTurnMs: Math.max(...turns),
    },
  };
}

/** As a worker does that serves: a turn for each piece. */
async function addInTurns(
  builder: TableBuilder,
  pieces: Iterable<Uint8Array>,
  turns: number[],
): Promise<void> {
  for (const piece of pieces) {
    const startMs = performance.now();
    builder.add(decodePiece(piece));
    turns.push(performance.now() - startMs);
    await nextTurn();
  }
}

function usedBytes(): number {
  if (globalThis.gc === undefined) throw new Error("run it with --expose-gc");
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** ns per lookup of requests that were not there before. */
function blockNs(draw: Draw): number {
  let at = 0;
  for (const place of places) {
    const { host, path } = routes.request(routes.drawn(draw, Math.random));
    place.hostStart = at;
    place.hostEnd = at += requests.write(host, at, "latin1");
    place.targetStart = at;
    place.pathEnd = at += requests.write(path, at, "latin1");
  }
  const start = process.hrtime.bigint();
  look();
  const ns = Number(process.hrtime.bigint() - start) / blockLookups;
  if (found !== blockLookups) throw new Error(`${blockLookups - found} requests found no route`);
  return ns;
}

/** What a request does with its route first is to ask who answers. */
function look(): void {
  found = 0;
  for (let i = 0; i < blockLookups; i++) {
    const route = table.matchHttp(requests, places[i]!, noFacts);
    if (route?.service !== undefined) found++;
  }
}
