// A worker with raw backends behind it, for the length of one test.

import { onTestFinished } from "vitest";
import type { WorkerSettings } from "../../src/channel/messages.ts";
import type { RouteOptions } from "../../src/model/route-options.ts";
import type { Service } from "../../src/model/service.ts";
import type { WorkerLimits } from "../../src/worker/make-context.ts";
import { OneWorker } from "./one-worker.ts";
import { Peer, RawBackend } from "./peer.ts";
import { backendOf, routeOf } from "./table-fixtures.ts";

export type Script = (peer: Peer) => Promise<void>;

export interface ServedOptions {
  /** One backend per entry; without a script the test answers by hand. Default: one of those. */
  readonly scripts?: readonly (Script | undefined)[];
  /** Addresses of further backends, where perhaps nobody listens. */
  readonly addresses?: readonly string[];
  readonly sticky?: boolean;
  /** Of the HTTP route. */
  readonly route?: RouteOptions;
  readonly services?: readonly Service[];
  readonly limits?: Partial<WorkerLimits>;
  readonly settings?: Partial<WorkerSettings>;
}

export interface Served {
  readonly worker: OneWorker;
  readonly backends: readonly RawBackend[];
  /** The first of them. */
  readonly backend: RawBackend;
  /** A new connection to the HTTP listener. */
  readonly client: () => Promise<Peer>;
  /** A new connection to the TCP listener. */
  readonly tcpClient: () => Promise<Peer>;
}

/** Serves "*" and a TCP port by service "web"; when the test ends, checks that nothing stays open. */
export async function serve(options: ServedOptions = {}): Promise<Served> {
  const backends: RawBackend[] = [];
  for (const script of options.scripts ?? [undefined])
    backends.push(await RawBackend.start(script));
  const addresses = [...backends.map(({ address }) => address), ...(options.addresses ?? [])];
  const worker = await OneWorker.start(({ tcpPort }) => ({
    routes: [
      {
        ...routeOf("all", "*"),
        sticky: options.sticky ?? false,
        ...(options.route === undefined ? {} : { options: options.route }),
      },
      routeOf("relay", tcpPort),
    ],
    services: options.services ?? [],
    backends: addresses.map((address) => backendOf("web", address)),
    limits: options.limits ?? {},
    settings: options.settings ?? {},
  }));
  const clients: Peer[] = [];
  onTestFinished(async () => {
    for (const client of clients) client.socket.destroy();
    await worker.close();
    for (const backend of backends) await backend.close();
  });
  const connected = async (port: number): Promise<Peer> => {
    const peer = await Peer.connect(port);
    clients.push(peer);
    return peer;
  };
  return {
    worker,
    backends,
    backend: backends[0] ?? never(),
    client: () => connected(worker.httpPort),
    tcpClient: () => connected(worker.tcpPort),
  };
}

/** Stands for a backend that the test has not asked for. */
function never(): RawBackend {
  return new Proxy({} as RawBackend, {
    get() {
      throw new Error("this test has no backend");
    },
  });
}
