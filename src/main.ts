// The composition root: a node, put together from top to bottom the way a change travels through it.
// The only file that knows everything.

import { readFileSync } from "node:fs";
import type { WorkerSettings } from "./channel/messages.ts";
import { runServe } from "./cli/serve.ts";
import type { Config } from "./config.ts";
import { AdminServer } from "./control/admin-server.ts";
import { Fleet } from "./control/fleet.ts";
import { GrpcServer } from "./control/grpc-server.ts";
import { ListenerSet } from "./control/listeners.ts";
import { reportOf } from "./control/node-report.ts";
import { createRouterService, type RouterCalls } from "./control/router-service.ts";
import { loadSealingKey, passingSealingKey } from "./control/sealing-key.ts";
import { TableSource } from "./control/table-source.ts";
import { provisionDemo } from "./demo-route.ts";
import { rpcCloseMsMax } from "./limits.ts";
import { RouterError } from "./model/errors.ts";
import type { Revision } from "./model/revision.ts";
import { openStore, type StoreSpec } from "./store/open-store.ts";
import { realSystem, type Signals, type System, signals } from "./system.ts";
import { AccessLogSink } from "./telemetry/access-log-sink.ts";
import { createLog } from "./telemetry/log.ts";
import type { Log } from "./telemetry/log-port.ts";
import { readVersion } from "./version.ts";

export interface NodeOptions {
  readonly config: Config;
  readonly log: Log;
  readonly system: System;
  /** Lets tests and fault scripts crash and stall workers. */
  readonly faultHooks?: boolean;
}

/** A running node. */
export interface RunningNode {
  readonly rpc: string;
  readonly admin: string;
  readonly http: readonly string[];
  readonly revision: Revision;
  readonly fleet: Fleet;
  readonly calls: RouterCalls;
  /** "ready rpc=… admin=… http=… workers=… io=… revision=…" */
  readonly readyLine: string;
  /** Opens the access log's file anew. */
  reopenLog(): void;
  /** Takes no new work, finishes what is open within `drainMs`, closes everything. Answers how many connections were cut. */
  stop(drainMs: number): Promise<number>;
}

/** Starts a node and resolves once every listener is open and every worker serves the table. */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const { log } = options;
  const closers: (() => Promise<unknown>)[] = [];
  try {
    return await assemble(options, closers);
  } catch (error) {
    log.error("the node cannot start", { error: RouterError.from(error).message });
    await closeAll(closers, log);
    throw error;
  }
}

/** Last opened, first closed; one that fails keeps none of the others open. */
async function closeAll(closers: readonly (() => Promise<unknown>)[], log: Log): Promise<void> {
  for (const close of closers.toReversed()) {
    await close().catch((error: unknown) => log.error("something did not close", { error }));
  }
}

async function assemble(
  { config, log, system, faultHooks = false }: NodeOptions,
  closers: (() => Promise<unknown>)[],
): Promise<RunningNode> {
  const opened = <T>(value: T, close: (value: T) => Promise<unknown>): T => {
    closers.push(() => close(value));
    return value;
  };
  const store = opened(await openStore(storeSpec(config), system), (it) => it.close());
  const source = opened(await TableSource.start({ store, system, log }), (it) => it.stop());
  const sink = await openAccessLog(config, log);
  if (sink !== undefined) opened(sink, (it) => it.close());
  const settings = await workerSettings(config, faultHooks);
  const listeners = await ListenerSet.open({ ...config, slots: config.workers, system, log });
  const fleet = opened(
    await Fleet.start({
      nodeName: config.nodeName,
      workers: config.workers,
      listeners,
      source,
      settings,
      workerFile: new URL("./worker/main.ts", import.meta.url),
      system,
      log,
      onLog: (lines, release) => sink?.write(lines, release),
    }),
    (it) => it.drain(0),
  );
  const calls = createRouterService({ store, view: source, serving: fleet, system });
  if (config.demo) opened(await provisionDemo(calls, system), (it) => it.close());
  let draining = false;
  const providers = reportOf({
    version: readVersion(),
    io: "net",
    store,
    source,
    fleet,
    system,
    logLinesDropped: () => sink?.linesDropped ?? 0,
    draining: () => draining,
    startedMs: system.wallMs(),
  });
  const admin = opened(await AdminServer.listen({ ...config.admin, log, providers }), (it) =>
    it.close(),
  );
  const image = readFileSync(new URL("./gen/image.binpb", import.meta.url));
  const rpc = opened(
    await GrpcServer.listen({ address: config.rpc, service: calls, image, system, log }),
    (it) => it.close(rpcCloseMsMax),
  );
  rpc.setServing(true);
  const http = listeners.http.map(({ address, port }) => hostPort(address, port));
  return {
    rpc: rpc.address,
    admin: admin.address,
    http,
    revision: source.table.revision,
    fleet,
    calls,
    readyLine: `ready rpc=${rpc.address} admin=${admin.address} http=${http.join(",")} workers=${config.workers} io=net revision=${source.table.revision}`,
    reopenLog: () => void sink?.reopen(),
    async stop(drainMs) {
      draining = true;
      // Writers first, traffic last; the admin port tells "not ready" until the end.
      await rpc.close(rpcCloseMsMax);
      const cut = await fleet.drain(drainMs);
      await closeAll(closers, log);
      return cut;
    },
  };
}

function storeSpec({ store, nodeName, stateDir, acceptStore }: Config): StoreSpec {
  if (store.kind !== "etcd") return store;
  return { ...store, nodeName, directory: stateDir, accept: acceptStore };
}

async function workerSettings(config: Config, faultHooks: boolean): Promise<WorkerSettings> {
  return {
    io: "net",
    accessLog: config.accessLog.kind !== "off",
    trustForwarded: config.trustForwarded,
    stickyKey:
      config.store.kind === "memory" ? passingSealingKey() : await loadSealingKey(config.stateDir),
    faultHooks,
  };
}

async function openAccessLog(config: Config, log: Log): Promise<AccessLogSink | undefined> {
  const { accessLog } = config;
  if (accessLog.kind === "off") return undefined;
  return await AccessLogSink.open({
    destination: accessLog.kind === "stdout" ? "-" : accessLog.path,
    log,
  });
}

function hostPort(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** `crosspoint serve`: runs a node until a signal ends it; the exit status. */
export async function serve(config: Config): Promise<number> {
  const log = createLog({ format: config.logFormat });
  keepServingWithoutReader(log);
  const ends: Signals = signals();
  return await Promise.race([untilAsked(config, log, ends), ends.insisted]);
}

async function untilAsked(config: Config, log: Log, ends: Signals): Promise<number> {
  let node: RunningNode;
  try {
    node = await startNode({ config, log, system: realSystem });
  } catch {
    return 1; // startNode has said why
  }
  process.stdout.write(`${node.readyLine}\n`);
  if (config.demo) process.stderr.write(demoHint(node));
  ends.onHangUp(() => node.reopenLog());
  const signal = await ends.asked;
  log.info("draining", { signal, drainMs: config.drainMs });
  const cut = await node.stop(config.drainMs);
  log.info("stopped", { cut });
  return 0;
}

/** Whoever read our output has left, or its disk is full: a line is lost, and no traffic. */
function keepServingWithoutReader(log: Log): void {
  // The command ends when nobody reads what it prints; a node does not.
  for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners("error");
  process.stderr.on("error", () => {});
  let told = false;
  process.stdout.on("error", (error) => {
    if (!told) log.warn("standard output takes nothing; traffic goes on", { error: error.message });
    told = true;
  });
}

function demoHint(node: RunningNode): string {
  const port = node.http[0]?.replace(/^.*:/, "") ?? "8080";
  return `try:  curl http://demo.localhost:${port}\n      npx crosspoint --rpc ${node.rpc} route list\n`;
}

if (import.meta.main) {
  process.exitCode = await runServe(process.argv.slice(2), serve);
  // What is left open now (a stuck reader of standard output, say) must not keep the process.
  process.exit();
}
