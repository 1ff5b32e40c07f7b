// A worker before services with limits, with backends that a test answers by hand.

import { parseServiceName } from "../../src/model/names.ts";
import type { Service } from "../../src/model/service.ts";
import type { ServiceLimits, ServiceOptions } from "../../src/model/service-options.ts";
import type { Peer } from "./peer.ts";
import { type Served, type ServedOptions, serve } from "./served.ts";
import { until } from "./until.ts";

export const get = (id: number | string): string => `GET /${id} HTTP/1.1\r\nHost: a.test\r\n\r\n`;

export function withOptions(options: ServiceOptions): Service {
  return { name: parseServiceName("web"), policy: undefined, options };
}

export function limited(limits: ServiceLimits, options: ServedOptions = {}): Promise<Served> {
  return serve({ settings: { accessLog: true }, ...options, services: [withOptions({ limits })] });
}

/** What its backends get next; those of `but` do not count. */
export async function nextRequest(
  { backends }: Served,
  but: readonly Peer[] = [],
): Promise<{ readonly peer: Peer; readonly path: string }> {
  const find = (): Peer | undefined =>
    backends
      .flatMap(({ peers }) => peers)
      .find((peer) => peer.text.includes("\r\n\r\n") && !but.includes(peer));
  await until(() => find() !== undefined, "a request at a backend");
  const peer = find()!;
  const { startLine } = await peer.takeRequest();
  return { peer, path: startLine.split(" ")[1] ?? "" };
}

export async function waiting({ worker }: Served, count: number): Promise<void> {
  await worker.reaches("waiting", count);
}
