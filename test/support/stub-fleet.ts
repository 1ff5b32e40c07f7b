// A fleet of stub workers (stub-worker.ts) on loopback, and clients that hear who serves them.

import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { Fleet } from "../../src/control/fleet.ts";
import type { FleetOptions } from "../../src/control/fleet-options.ts";
import { ListenerSet } from "../../src/control/listeners.ts";
import type { Change, ChangeSet } from "../../src/model/change.ts";
import { Table } from "../../src/model/table.ts";
import { realSystem } from "../../src/system.ts";
import { recordingLog } from "./recording-log.ts";
import type { StubLabel } from "./stub-worker.ts";
import { changeSetOf, putRoute, routeOf } from "./table-fixtures.ts";
import { until } from "./until.ts";

export const host = "127.0.0.1";
export const never = new AbortController().signal;
const open: { close(): unknown }[] = [];

/** Ends all that the functions below have started, the last one first. For `afterEach`. */
export async function closeAll(): Promise<void> {
  for (const thing of open.splice(0).toReversed()) await thing.close();
}

/** A table that tests write to. */
class Source {
  readonly table = new Table();
  #listener: ((changeSet: ChangeSet) => void) | undefined;

  subscribe(listener: (changeSet: ChangeSet) => void): () => void {
    this.#listener = listener;
    return () => (this.#listener = undefined);
  }

  write(...changes: readonly Change[]) {
    return this.writeAt(this.table.revision + 1, ...changes);
  }

  /** At the same revision, as discovery does, or at a lower one, from which revisions are counted anew. */
  writeAt(revision: number, ...changes: readonly Change[]) {
    const changeSet = changeSetOf(revision, ...changes);
    if (revision < this.table.revision) this.table.revision = changeSetOf(0).revision;
    this.table.apply(changeSet);
    this.#listener?.(changeSet);
    return changeSet.revision;
  }
}

export async function startFleet(
  options: Partial<FleetOptions> & { readonly first?: readonly Change[] } = {},
) {
  const source = new Source();
  source.write(...(options.first ?? [putRoute("first", "first.example.com")]));
  const log = recordingLog();
  const workers = options.workers ?? 2;
  const system = realSystem;
  const listeners = await ListenerSet.open({
    http: [{ address: host, port: 0 }],
    tcpAddresses: [host],
    tcpPorts: { first: 3000, last: 3500 },
    slots: workers,
    system,
    log,
  });
  const fleet = await Fleet.start({
    nodeName: "n1",
    workers,
    listeners,
    source,
    settings: {
      io: "net",
      accessLog: false,
      trustForwarded: [],
      proxyProtocol: [],
      pages: [],
      via: undefined,
      forwarded: false,
      zone: "",
      limits: {},
      stickyKeys: { current: new Uint8Array(32), previous: undefined },
      faultHooks: true,
    },
    workerFile: new URL("../support/stub-worker.ts", import.meta.url),
    system,
    log,
    onLog: () => {},
    ...options,
  });
  open.push({ close: () => fleet.drain(0) });
  return { fleet, source, listeners, log, port: listeners.http[0]!.port };
}

export interface Greeting {
  readonly worker: number;
  readonly revision: number;
  readonly thread: number;
  /** The first byte of the key that it would seal sticky cookies with. */
  readonly sealsWith: number;
}

/** Connects and hears who answers; rejects when nobody does. */
export async function greeting(port: number): Promise<Greeting & { readonly socket: Socket }> {
  const socket = connect(port, host);
  open.push({ close: () => socket.destroy() });
  const [bytes] = (await once(socket, "data")) as [Buffer];
  const [worker, revision, thread, sealsWith] = bytes.toString().trim().split(" ").map(Number);
  socket.on("error", () => {});
  return {
    worker: worker!,
    revision: revision!,
    thread: thread!,
    sealsWith: sealsWith!,
    socket,
  };
}

export const stub = (name: string, label: StubLabel): Change => ({
  kind: "route-put",
  route: { ...routeOf(name, `${name}.example.com`), labels: { stub: label } },
});

/** Waits as long as a worker may need that fell silent. */
export const soon = (holds: () => boolean): Promise<void> =>
  until(holds, "the fleet to get there", 15_000);

export const states = (fleet: Fleet): string[] => fleet.status().map(({ state }) => state);
export const inMs = (ms: number): AbortSignal => AbortSignal.timeout(ms);

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
