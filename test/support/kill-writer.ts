// A client that writes until its node is killed, and remembers what it asked for and what it was told. Has names
// of its own, and so knows of each whether it exists. Knows the API; does not know what is there afterwards.

import { Wait } from "../../src/gen/crosspoint/v1/router.ts";
import type { Change } from "../../src/model/change.ts";
import { parseServiceName } from "../../src/model/names.ts";
import type { Route } from "../../src/model/route.ts";
import type { LedgerEntry } from "../soak/write-ledger.ts";
import { putRoute, removeRoute } from "../store/samples.ts";
import { Client, RpcError, removeRouteChange, routeFields } from "./rpc-node.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { inOrder } from "./table-over-rpc.ts";

const httpNames = 120;
const tcpNames = 5;

export interface KillWriterOptions {
  readonly prefix: string;
  readonly random: SeededRandom;
  readonly httpServices: readonly string[];
  readonly tcpService: string;
}

interface Answer {
  readonly revision: number;
  /** All of it but who lagged, to be compared. */
  readonly text: string;
}

export interface KillWrite {
  readonly method: Method;
  /** "" for none. */
  readonly requestId: string;
  readonly entry: LedgerEntry;
  /** What it was told; undefined: cut off. */
  answer: string | undefined;
  /** The same call again; rejects with an RpcError. */
  repeat(client: Client): Promise<Answer>;
}

export interface Written {
  readonly writes: readonly KillWrite[];
  /** Failures that a kill does not explain, and answers out of order. */
  readonly unexpected: readonly string[];
}

type Method = "addRoute" | "removeRoute" | "applyChanges";

interface Call {
  readonly method: Method;
  readonly fields: object;
  readonly requestId: string;
  readonly changes: readonly Change[];
}

export class KillWriter {
  readonly #options: KillWriterOptions;
  readonly #random: SeededRandom;
  readonly #existing = new Set<string>();
  #round = "";
  #last = 0;

  constructor(options: KillWriterOptions) {
    this.#options = options;
    this.#random = options.random;
  }

  /** @param routes What exists when it begins. */
  async writeUntilCut(rpc: string, round: string, routes: readonly Route[]): Promise<Written> {
    this.#round = round;
    this.#existing.clear();
    for (const { name } of routes) {
      if (name.startsWith(`${this.#options.prefix}-`)) this.#existing.add(name);
    }
    const client = new Client(rpc);
    const writes: KillWrite[] = [];
    const unexpected: string[] = [];
    for (let before = 0; ; ) {
      const write = writeOf(this.#next());
      writes.push(write);
      try {
        const { revision, text } = await write.repeat(client);
        write.entry.revision = revision;
        write.answer = text;
        if (revision <= before) unexpected.push(`revision ${revision} answered after ${before}`);
        before = revision;
      } catch (error) {
        const killed = error instanceof RpcError && error.code === "UNAVAILABLE";
        if (!killed) unexpected.push(`${write.method} fails: ${String(error)}`);
        client.close();
        return { writes, unexpected };
      }
    }
  }

  #next(): Call {
    const kind = this.#random.next();
    if (kind < 0.06) return this.#addTcp() ?? this.#next();
    if (kind < 0.45) return this.#add() ?? this.#next();
    if (kind < 0.7) return this.#remove() ?? this.#next();
    return this.#apply();
  }

  #add(): Call | undefined {
    const name = this.#httpName();
    if (this.#existing.has(name)) return undefined;
    const { change, route } = this.#put(name);
    const requestId = this.#random.chance(0.5) ? this.#mark() : "";
    const fields = { route, wait: this.#wait(), requestId };
    return { method: "addRoute", fields, requestId, changes: [change] };
  }

  #addTcp(): Call | undefined {
    const name = `${this.#options.prefix}-tcp-${this.#random.below(tcpNames)}`;
    if (this.#existing.has(name)) return undefined;
    this.#existing.add(name);
    const requestId = this.#mark();
    const service = this.#options.tcpService;
    const labels = { mark: requestId };
    const fields = { route: routeFields(0, service, { name, labels }), requestId };
    const match = { kind: "tcp", port: 0 } as const;
    const change = putRoute(name, { match, service: parseServiceName(service), labels });
    return { method: "addRoute", fields, requestId, changes: [change] };
  }

  #remove(): Call | undefined {
    const names = [...this.#existing];
    if (names.length === 0) return undefined;
    const name = this.#random.one(names);
    this.#existing.delete(name);
    const changes = [removeRoute(name)];
    return {
      method: "removeRoute",
      fields: { name, wait: this.#wait() },
      requestId: "",
      changes,
    };
  }

  /** Half of what it names and what exists goes; everything else is put anew. */
  #apply(): Call {
    const size = 5 + this.#random.below(46);
    const names = new Set<string>();
    while (names.size < size) names.add(this.#httpName());
    const asked: object[] = [];
    const changes: Change[] = [];
    for (const name of names) {
      if (this.#existing.has(name) && this.#random.chance(0.5)) {
        this.#existing.delete(name);
        asked.push(removeRouteChange(name));
        changes.push(removeRoute(name));
      } else {
        const { change, route } = this.#put(name);
        asked.push({ change: { $case: "putRoute", value: route } });
        changes.push(change);
      }
    }
    const requestId = this.#random.chance(0.5) ? this.#mark() : "";
    const fields = { changes: asked, wait: this.#wait(), requestId };
    return { method: "applyChanges", fields, requestId, changes };
  }

  /** A route that differs from all before it, so that no write is without effect. */
  #put(name: string): { readonly change: Change; readonly route: object } {
    this.#existing.add(name);
    const service = this.#random.one(this.#options.httpServices);
    const labels = { mark: this.#mark() };
    return {
      change: putRoute(name, { service: parseServiceName(service), labels }),
      route: routeFields(`${name}.example.com`, service, { name, labels }),
    };
  }

  #httpName(): string {
    return `${this.#options.prefix}-${this.#random.below(httpNames)}`;
  }

  #mark(): string {
    return `${this.#options.prefix}/${this.#round}/${++this.#last}`;
  }

  #wait(): Wait {
    return this.#random.chance(0.5) ? Wait.NODE : Wait.NONE;
  }
}

function writeOf({ method, fields, requestId, changes }: Call): KillWrite {
  return {
    method,
    requestId,
    entry: { changes: inOrder(changes) },
    answer: undefined,
    async repeat(client) {
      const { lagging: _, ...answer } = await client.call(method, fields);
      const text = JSON.stringify(answer, (_key, value: unknown) =>
        typeof value === "bigint" ? Number(value) : value,
      );
      return { revision: Number(answer.revision), text };
    },
  };
}
