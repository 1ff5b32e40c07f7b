// What the acceptance cases begin with: named backends for the length of a test, and changes among them.

import { onTestFinished } from "vitest";
import { type NamedBackend, startHttpBackend, startTcpBackend } from "./named-backend.ts";
import type { WholeNode } from "./whole-node.ts";

export async function backends(...names: string[]): Promise<NamedBackend[]> {
  const started = await Promise.all(names.map(startHttpBackend));
  onTestFinished(async () => void (await Promise.all(started.map((it) => it.close()))));
  return started;
}

export async function relays(...names: string[]): Promise<NamedBackend[]> {
  const started = await Promise.all(names.map(startTcpBackend));
  onTestFinished(async () => void (await Promise.all(started.map((it) => it.close()))));
  return started;
}

/** One backend out, another in. */
export async function swap(
  { client }: WholeNode,
  service: string,
  from: NamedBackend,
  to: NamedBackend,
): Promise<void> {
  await client.call("registerBackend", { backend: { service, address: to.address } });
  await client.call("deregisterBackend", { service, address: from.address });
}

export const portOf = async ({ client }: WholeNode, name: string): Promise<number> => {
  const { route } = await client.call("getRoute", { name });
  return route?.match?.$case === "tcp" ? route.match.value.port : 0;
};
