// What the soaks of traffic begin with: a node in a process of its own, one HTTP route, backends registered behind it.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ChildNode } from "./child-node.ts";
import { Client, routeFields } from "./rpc-node.ts";

export const soakHost = "soak.example.com";

/** Crowds here are larger than a node would let in with the file descriptors of a test machine. */
const crowdLimit = "--limit=connections-per-node=15000";

export interface SoakNode {
  readonly node: ChildNode;
  readonly client: Client;
  readonly httpPort: number;
}

/**
 * Runs `work` with a node that leads `soakHost` to these addresses; the node ends however the work does.
 * @param flags Further settings of the node.
 */
export async function withSoakNode<T>(
  addresses: readonly string[],
  work: (soak: SoakNode) => Promise<T>,
  flags: readonly string[] = [],
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "crosspoint-soak-"));
  const node = new ChildNode({ directory, store: "memory:", flags: [crowdLimit, ...flags] });
  try {
    const { rpc, httpPort } = await node.ready;
    const client = new Client(rpc);
    for (const address of addresses)
      await client.call("registerBackend", { backend: { service: "soak", address } });
    await client.call("addRoute", { route: routeFields(soakHost, "soak") });
    try {
      return await work({ node, client, httpPort });
    } finally {
      client.close();
    }
  } finally {
    await node.kill();
    rmSync(directory, { recursive: true, force: true });
  }
}
