// Routes in large numbers, and requests for them: what route-lookup.ts asks about.

import { encodeSnapshot } from "../../src/channel/encoding.ts";
import { snapshotPieceChangesMax } from "../../src/limits.ts";
import { parseAddress } from "../../src/model/address.ts";
import type { Backend } from "../../src/model/backend.ts";
import {
  parseDomain,
  parsePathPrefix,
  parseRouteName,
  parseServiceName,
  type ServiceName,
} from "../../src/model/names.ts";
import { parseRevision } from "../../src/model/revision.ts";
import type { Route } from "../../src/model/route.ts";

export const shapes = {
  exact: "one domain each",
  wildcards: "one wildcard each",
  threePaths: "3 paths under each domain",
  oneHost: "all under one domain, by path",
  ownServices: "one domain and one service each",
} as const;
export type Shape = keyof typeof shapes;

export const draws = { same: "same host", zipf: "Zipf", random: "random" } as const;
export type Draw = keyof typeof draws;

/** Unless each route has one of its own. */
const servicesMax = 1_000;
const prefixes = ["/", "/api", "/static"] as const;

export class ManyRoutes {
  readonly shape: Shape;
  readonly count: number;

  constructor(shape: Shape, count: number) {
    this.shape = shape;
    this.count = count;
  }

  get serviceCount(): number {
    return this.shape === "ownServices" ? this.count : Math.min(this.count, servicesMax);
  }

  /** Pieces of a snapshot, each made when it is asked for: the backends. */
  *backendPieces(): Generator<Uint8Array, undefined> {
    for (const [from, to] of blocks(this.serviceCount)) {
      const backends = Array.from({ length: to - from }, (_, i) => backendOf(from + i));
      yield* encodeSnapshot({ revision: parseRevision(1), services: [], routes: [], backends });
    }
    return undefined;
  }

  /** The routes. */
  *routePieces(): Generator<Uint8Array, undefined> {
    for (const [from, to] of blocks(this.count)) {
      const routes = Array.from({ length: to - from }, (_, i) => this.#route(from + i));
      yield* encodeSnapshot({ revision: parseRevision(1), services: [], routes, backends: [] });
    }
    return undefined;
  }

  /** What a client of route `i` asks for. */
  request(i: number): { readonly host: string; readonly path: string } {
    const host = `${this.shape === "wildcards" ? "www." : ""}${this.#plainDomain(i)}`;
    if (this.shape === "oneHost") return { host, path: `/team-${i}/app/index` };
    const prefix = this.shape === "threePaths" ? prefixes[i % 3]! : "/";
    return { host, path: `${prefix === "/" ? "" : prefix}/index/of/things` };
  }

  /** The number of a route. */
  drawn(draw: Draw, random: () => number): number {
    if (draw === "same") return this.count >>> 1;
    if (draw === "random") return Math.floor(random() * this.count);
    // Of rank r with a share of 1/r, nearly; ranks are spread over the table.
    const rank = Math.min(this.count - 1, Math.floor((this.count + 1) ** random()) - 1);
    return Number((BigInt(rank) * 2_654_435_761n) % BigInt(this.count));
  }

  #plainDomain(i: number): string {
    const domain = this.shape === "threePaths" ? Math.floor(i / 3) : i;
    return `app-${this.shape === "oneHost" ? 0 : domain}.tenants.example.com`;
  }

  #route(i: number): Route {
    const domain = this.#plainDomain(i);
    const prefix = this.shape === "threePaths" ? prefixes[i % 3]! : "/";
    const revision = parseRevision(i + 1);
    return {
      name: parseRouteName(`app-${i}-tenants-example-com`),
      match: {
        kind: "http",
        domain: parseDomain(this.shape === "wildcards" ? `*.${domain}` : domain),
        pathPrefix: parsePathPrefix(this.shape === "oneHost" ? `/team-${i}/app` : prefix),
      },
      service: serviceName(i % this.serviceCount),
      sticky: false,
      labels: {},
      revision,
      matchRevision: revision,
      createTimeMs: 1_763_700_000_000 + i,
      updateTimeMs: 1_763_700_000_000 + i,
    };
  }
}

function* blocks(count: number): Generator<readonly [number, number], undefined> {
  for (let from = 0; from < count; from += snapshotPieceChangesMax) {
    yield [from, Math.min(count, from + snapshotPieceChangesMax)];
  }
  return undefined;
}

function serviceName(i: number): ServiceName {
  return parseServiceName(`web-${i}`);
}

function backendOf(i: number): Backend {
  return {
    service: serviceName(i),
    address: parseAddress(`10.${(i >>> 16) & 255}.${(i >>> 8) & 255}.${i & 255}:8080`),
    weight: 100,
    labels: {},
    ttlMs: undefined,
  };
}
