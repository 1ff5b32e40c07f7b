// Several nodes on one etcd, with two named backends behind them: the stage of the soaks about clusters. Every
// node is a process of its own, everything is on loopback, and all of it ends with `end`.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Wait } from "../../src/gen/crosspoint/v1/router.ts";
import { ChildNode } from "./child-node.ts";
import { freshGet, type Outcome } from "./fresh-connection.ts";
import { type NamedBackend, startHttpBackend } from "./named-backend.ts";
import { Client, routeFields } from "./rpc-node.ts";

/** Both have a backend of that name. */
export const services = ["http-a", "http-b"] as const;
/** Routed to the first service from the start to the end. */
export const steadyHost = "steady.example.com";

export interface ClusterNode {
  readonly name: string;
  readonly child: ChildNode;
  readonly client: Client;
  readonly httpPort: number;
  readonly adminPort: number;
}

export class ClusterWorld {
  readonly directory = mkdtempSync(join(tmpdir(), "crosspoint-cluster-"));
  readonly #store: string;
  readonly #backends: NamedBackend[] = [];
  readonly #nodes: ClusterNode[] = [];

  /** @param store As --store. Without nodes there is no route and no backend yet. */
  static async start(store: string, nodes: number): Promise<ClusterWorld> {
    const world = new ClusterWorld(store);
    try {
      for (const name of services) world.#backends.push(await startHttpBackend(name));
      for (let n = 0; n < nodes; n++) await world.startNode(n);
      if (nodes > 0) await world.#provision();
    } catch (error) {
      await world.end();
      throw error;
    }
    return world;
  }

  private constructor(store: string) {
    this.#store = store;
  }

  get nodes(): readonly ClusterNode[] {
    return this.#nodes;
  }

  /** Starts node `n`, or starts it again on the same files. */
  async startNode(n: number, flags: readonly string[] = []): Promise<ClusterNode> {
    const name = `node-${n}`;
    const child = new ChildNode({
      directory: join(this.directory, name),
      store: this.#store,
      flags: [`--node-name=${name}`, "--drain=1s", ...flags],
    });
    const { rpc, httpPort, adminPort } = await child.ready;
    this.#nodes[n]?.client.close();
    const node = { name, child, client: new Client(rpc), httpPort, adminPort };
    this.#nodes[n] = node;
    return node;
  }

  /** A fresh request to every node at once, in their order. */
  async askAll(host: string): Promise<readonly Outcome[]> {
    return await Promise.all(this.#nodes.map(({ httpPort }) => freshGet(httpPort, host)));
  }

  async end(): Promise<void> {
    for (const { client, child } of this.#nodes) {
      client.close();
      await child.kill();
    }
    for (const backend of this.#backends) await backend.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #provision(): Promise<void> {
    const client = this.#nodes[0]!.client;
    for (const { name, address } of this.#backends) {
      const backend = { service: name, address };
      await client.call("registerBackend", { backend, wait: Wait.ALL });
    }
    await client.call("addRoute", { route: routeFields(steadyHost, services[0]), wait: Wait.ALL });
  }
}

/** "200 http-a", "refused: ECONNREFUSED", "late". */
export function outcomeText(outcome: Outcome): string {
  if (outcome.kind === "answered") return `${outcome.status} ${outcome.body.trim()}`;
  return outcome.kind === "late" ? "late" : `${outcome.kind}: ${outcome.error}`;
}
