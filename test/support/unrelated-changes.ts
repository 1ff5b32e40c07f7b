// Changes that concern nobody: routes, services, backends and TCP ports that come, change and go again. Knows the
// API; does not know what is watched meanwhile.

import { Wait } from "../../src/gen/crosspoint/v1/router.ts";
import {
  type Client,
  putRouteChange,
  putServiceChange,
  removeRouteChange,
  removeServiceChange,
  routeFields,
} from "./rpc-node.ts";
import type { SeededRandom } from "./seeded-random.ts";

const lanes = 4;
/** At most this many of a kind exist in a lane. */
const existMax = 40;
const tcpRoutesMax = 4;

export class UnrelatedChanges {
  /** Writes so far, each a revision of its own. */
  writes = 0;
  /** What they changed: an ApplyChanges counts as many as it holds. */
  changes = 0;
  readonly #client: Client;
  readonly #lanes: readonly Lane[];

  /** @param neighbour A domain that is watched: routes for other paths of it come and go as well. */
  constructor(client: Client, random: SeededRandom, neighbour: string) {
    this.#client = client;
    this.#lanes = Array.from({ length: lanes }, (_, n) => new Lane(`other${n}`, neighbour, random));
  }

  /** Side by side, so that some travel together and some alone. Rejects when a call fails or lags. */
  async applyUntil(total: number): Promise<void> {
    await Promise.all(
      this.#lanes.map(async (lane) => {
        while (this.writes < total) await this.#apply(lane.next());
      }),
    );
  }

  async #apply({ method, fields, changes }: Step): Promise<void> {
    this.writes++;
    this.changes += changes;
    const answer = await this.#client.call(method, fields);
    if ("lagging" in answer && answer.lagging.length > 0)
      throw new Error(`${method} lags: ${answer.lagging[0]?.reason}`);
  }
}

interface Step {
  readonly method:
    | "addRoute"
    | "removeRoute"
    | "putService"
    | "removeService"
    | "registerBackend"
    | "deregisterBackend"
    | "applyChanges";
  readonly fields: object;
  readonly changes: number;
}

/** Names of its own, one change after the other; so none of them can be refused. */
class Lane {
  readonly #prefix: string;
  readonly #neighbour: string;
  readonly #random: SeededRandom;
  readonly #http: string[] = [];
  readonly #tcp: string[] = [];
  readonly #services: string[] = [];
  readonly #backends: { readonly service: string; readonly address: string }[] = [];
  #last = 0;

  constructor(prefix: string, neighbour: string, random: SeededRandom) {
    this.#prefix = prefix;
    this.#neighbour = neighbour;
    this.#random = random;
  }

  next(): Step {
    const kind = this.#random.next();
    if (kind < 0.4) return this.#comeOrGo(this.#http, existMax, this.#addHttp, this.#removeRoute);
    if (kind < 0.5) return this.#comeOrGo(this.#tcp, tcpRoutesMax, this.#addTcp, this.#removeRoute);
    if (kind < 0.65)
      return this.#comeOrGo(this.#services, existMax, this.#put, this.#removeService);
    if (kind < 0.9)
      return this.#comeOrGo(this.#backends, existMax, this.#register, this.#deregister);
    return this.#many();
  }

  /** Grows and shrinks around half of what may exist. */
  #comeOrGo<T>(existing: T[], most: number, come: () => Step, go: (it: T) => Step): Step {
    if (this.#random.next() * most > existing.length) return come();
    const [gone] = existing.splice(this.#random.below(existing.length), 1);
    return gone === undefined ? come() : go(gone);
  }

  #newName(): string {
    return `${this.#prefix}-${++this.#last}`;
  }

  readonly #addHttp = (): Step => {
    const name = this.#newName();
    this.#http.push(name);
    const service = `${this.#prefix}-${this.#random.below(10)}`;
    const match = this.#random.one([
      `${name}.example.com`,
      `${name}.example.com/api`,
      `*.${name}.example.com`,
      `${this.#neighbour}/${name}`,
    ]);
    const route = routeFields(match, service, { name });
    return { method: "addRoute", fields: { route, wait: Wait.NODE }, changes: 1 };
  };

  readonly #addTcp = (): Step => {
    const name = this.#newName();
    this.#tcp.push(name);
    const route = routeFields(0, `${this.#prefix}-${this.#random.below(10)}`, { name });
    return { method: "addRoute", fields: { route, wait: Wait.NODE }, changes: 1 };
  };

  readonly #removeRoute = (name: string): Step => ({
    method: "removeRoute",
    fields: { name, wait: Wait.NODE },
    changes: 1,
  });

  readonly #put = (): Step => {
    const name = `${this.#newName()}-service`;
    this.#services.push(name);
    return { method: "putService", fields: { service: { name, policy: 2 } }, changes: 1 };
  };

  readonly #removeService = (name: string): Step => ({
    method: "removeService",
    fields: { name },
    changes: 1,
  });

  readonly #register = (): Step => {
    const service = `${this.#prefix}-${this.#random.below(10)}`;
    const backend = { service, address: `127.0.0.1:${1024 + (++this.#last % 60_000)}` };
    this.#backends.push(backend);
    return { method: "registerBackend", fields: { backend }, changes: 1 };
  };

  readonly #deregister = (backend: { service: string; address: string }): Step => ({
    method: "deregisterBackend",
    fields: backend,
    changes: 1,
  });

  /** Half of the HTTP routes go, new ones come, a service comes and goes: one revision. */
  #many(): Step {
    const gone = this.#http.splice(0, this.#http.length / 2).map(removeRouteChange);
    const come = Array.from({ length: 1 + this.#random.below(20) }, () => {
      const name = this.#newName();
      this.#http.push(name);
      return putRouteChange(`${name}.example.com`, `${this.#prefix}-0`, { name });
    });
    const service = `${this.#newName()}-service`;
    const removed = this.#services.splice(0, 1).map(removeServiceChange);
    this.#services.push(service);
    const changes = [...gone, ...come, ...removed, putServiceChange(service, 2)];
    return { method: "applyChanges", fields: { changes }, changes: changes.length };
  }
}
