// The composition root: a node, put together from top to bottom the way a change travels through it.
// The only file that knows everything.

import { readFileSync } from "node:fs";
import type { IoName, WorkerSettings } from "./channel/messages.ts";
import { runServe } from "./cli/serve.ts";
import type { Config, ListenAddress } from "./config.ts";
import { type AdminProviders, AdminServer } from "./control/admin-server.ts";
import { descriptorsMax, limitsWithin } from "./control/connection-budget.ts";
import { Fleet } from "./control/fleet.ts";
import { GrpcServer } from "./control/grpc-server.ts";
import { join } from "./control/joining.ts";
import { ListenerSet } from "./control/listeners.ts";
import { NamedServices } from "./control/named-services.ts";
import { NodeHealth } from "./control/node-health.ts";
import { reportOf } from "./control/node-report.ts";
import { OpenHere } from "./control/open-work.ts";
import { QuestionAnswers } from "./control/question-answers.ts";
import { createRouterService, type RouterCalls } from "./control/router-service.ts";
import { SealingKeys } from "./control/sealing-keys.ts";
import { startingReport } from "./control/starting-report.ts";
import { TableSource } from "./control/table-source.ts";
import { provisionDemo } from "./demo-route.ts";
import type { Discovery } from "./discovery/discovery.ts";
import { openDiscovery } from "./discovery/open-discovery.ts";
import { provisionForward } from "./forward-route.ts";
import { dropCached } from "./io/page-cache.ts";
import { rpcCloseMsMax } from "./limits.ts";
import { RouterError } from "./model/errors.ts";
import type { Revision } from "./model/revision.ts";
import type { Page } from "./model/route-options.ts";
import { departureOf } from "./node-departure.ts";
import { nodeIo } from "./node-io.ts";
import { keepServingWithoutReader, logWarnings } from "./node-output.ts";
import { readPages } from "./node-pages.ts";
import type { MemberInfo } from "./store/members.ts";
import { openStore, type StoreSpec } from "./store/open-store.ts";
import type { Store } from "./store/store.ts";
import { holdProcess, realSystem, type Signals, type System, signals } from "./system.ts";
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
  /** Gives the start up: a store that cannot be reached is waited for. */
  readonly signal?: AbortSignal;
}

/** With what the machine turned out to have. */
interface Prepared extends NodeOptions {
  readonly io: IoName;
}

/** A running node. */
export interface RunningNode {
  /** "" when none is opened, as of `admin`. */
  readonly rpc: string;
  readonly admin: string;
  readonly http: readonly string[];
  readonly revision: Revision;
  readonly fleet: Fleet;
  readonly health: NodeHealth;
  readonly calls: RouterCalls;
  /** "ready rpc=… admin=… http=… workers=… io=… revision=…" */
  readonly readyLine: string;
  /** Opens the access log's file anew. */
  reopenLog(): void;
  /** Takes no new work, finishes what is open within `drainMs`, closes everything. Answers how many connections were cut. */
  stop(drainMs: number): Promise<number>;
  /** Resolves when it has left, by `stop` or by a call, with how many connections were cut. */
  readonly left: Promise<number>;
}

/** Starts a node and resolves once every listener is open and every worker serves the table. */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const { log } = options;
  const closers: (() => Promise<unknown>)[] = [];
  try {
    const { io } = options.config;
    return await assemble({ ...options, io: io === "auto" ? nodeIo(io, log) : io }, closers);
  } catch (error) {
    if (options.signal?.aborted !== true) {
      log.error("the node cannot start", { error: RouterError.from(error).message });
    }
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

function openHealth(options: Prepared, version: string, source: TableSource): NodeHealth {
  const file = new URL("./health/main.ts", import.meta.url);
  return new NodeHealth({ ...options, version, source, proberFile: file });
}

async function assemble(
  options: Prepared,
  closers: (() => Promise<unknown>)[],
): Promise<RunningNode> {
  const { config, log, system } = options;
  const opened = keptOpen(closers);
  const startedMs = system.wallMs();
  // First and last: it tells what a node waits for that is not ready yet, or no more.
  const report = new CurrentReport();
  const admin = opened(await openAdmin(options, report), async (it) => it?.close());
  const store = opened(await openStore(storeSpec(config), system, log), (it) => it.close());
  report.current = startingReport(() => waitsFor(store));
  const source = await openSource(options, store, opened);
  const sink = await openAccessLog(config, log);
  if (sink !== undefined) opened(sink, (it) => it.close());
  const sealing = opened(await openSealingKeys(options), (it) => it.close());
  const listeners = opened(
    await ListenerSet.open({ ...config, slots: config.workers, system, log }),
    async (it) => it.close(),
  );
  const http = listeners.http.map(({ address, port }) => hostPort(address, port));
  const node = { ...aboutOf(options, startedMs), admin: admin?.address ?? "", http };
  const { signal = new AbortController().signal } = options;
  await join({ store, view: source, system, log, signal }, { ...node });
  await sealing.share(store.sealingKey);
  const health = opened(openHealth(options, node.version, source), (it) => it.stop());
  const parts = { sealing, listeners, source, sink, health };
  const fleet = opened(await startFleet(options, parts), (it) => it.drain(0));
  health.follow((message) => fleet.post(message));
  const here = opened(new OpenHere({ source, serving: fleet, system }), async (it) => it.stop());
  const leavingNode = { fleet, store, closeRest: () => closeAll(closers, log) };
  const departure = departureOf(leavingNode, { drainMs: config.drainMs, system, log });
  const leaving = { here, source, log, leave: departure.leave };
  const shared = { store, health, system, info: (): MemberInfo => node };
  const calls = createRouterService({ ...shared, view: source, serving: fleet, leaving });
  if (config.demo) opened(await provisionDemo(calls, system), (it) => it.close());
  const accepts = await forwardedAddresses(config, calls);
  report.current = reportOf({
    ...shared,
    version: node.version,
    io: node.io,
    source,
    fleet,
    named: new NamedServices({ view: source, serving: fleet, health }, config.metricsServices),
    logLinesDropped: () => sink?.linesDropped ?? 0,
    draining: () => departure.begun,
    startedMs,
  });
  const rpc = opened(await openRpc(options, calls), async (it) => it?.close(rpcCloseMsMax));
  departure.door = rpc;
  node.rpc = rpc?.address ?? "";
  const listed = store.members?.announce({ ...node }).catch(() => undefined); // the first one told
  if (store.condition.kind === "current") await listed;
  const answers = answerOthers(store, { serving: fleet, view: source, open: here, system, log });
  if (answers !== undefined) opened(answers, async (it) => it.stop());
  return {
    rpc: node.rpc,
    admin: node.admin,
    http,
    revision: source.table.revision,
    fleet,
    health,
    calls,
    readyLine: readyLine(node, accepts, source.table.revision),
    reopenLog: () => void sink?.reopen(),
    stop: (drainMs) => departure.stop(drainMs),
    left: departure.left,
  };
}

/** Keeps something open until the node ends. */
type Opened = <T>(value: T, close: (value: T) => Promise<unknown>) => T;

function keptOpen(closers: (() => Promise<unknown>)[]): Opened {
  return (value, close) => {
    closers.push(() => close(value));
    return value;
  };
}

/** The table: what the store holds, and what discovery finds. */
async function openSource(
  { config, log, system, signal }: NodeOptions,
  store: Store,
  opened: Opened,
): Promise<TableSource> {
  const discoveries: Discovery[] = [];
  for (const setting of config.discover) {
    const parts = { system, log, directory: config.stateDir };
    discoveries.push(opened(await openDiscovery(setting, parts), (it) => it.close()));
  }
  const options = { store, discoveries, system, log };
  const source = TableSource.start(signal === undefined ? options : { ...options, signal });
  return opened(await source, (it) => it.stop());
}

async function startFleet(
  options: Prepared,
  parts: {
    readonly sealing: SealingKeys;
    readonly listeners: ListenerSet;
    readonly source: TableSource;
    readonly sink: AccessLogSink | undefined;
    readonly health: NodeHealth;
  },
): Promise<Fleet> {
  const { config, log, system } = options;
  const { sealing, listeners, source, sink } = parts;
  const fleet = await Fleet.start({
    nodeName: config.nodeName,
    workers: config.workers,
    listeners,
    source,
    settings: workerSettings(options, sealing, await readPages(config.pages)),
    workerFile: new URL("./worker/main.ts", import.meta.url),
    system,
    log,
    greetings: parts.health.greetings,
    onLog: (lines, release) => sink?.write(lines, release),
  });
  fleet.setStickyKeys(sealing.keys); // they may have changed meanwhile
  sealing.subscribe((keys) => fleet.setStickyKeys(keys));
  return fleet;
}

async function openAdmin(
  { config, log }: NodeOptions,
  providers: AdminProviders,
): Promise<AdminServer | undefined> {
  if (config.admin === undefined) return undefined;
  return await AdminServer.listen({ ...config.admin, log, providers });
}

async function openRpc(
  { config, log, system }: NodeOptions,
  service: RouterCalls,
): Promise<GrpcServer | undefined> {
  if (config.rpc === undefined) return undefined;
  const image = readFileSync(new URL("./gen/image.binpb", import.meta.url));
  const rpc = await GrpcServer.listen({ address: config.rpc, service, image, system, log });
  rpc.setServing(true);
  return rpc;
}

/** What a node says of itself; ports as they are asked for. */
function aboutOf(
  { config, io }: Prepared,
  startTimeMs: number,
): Omit<MemberInfo, "rpc"> & { rpc: string } {
  const { rpc, admin } = config;
  return {
    name: config.nodeName,
    version: readVersion(),
    rpc: rpc?.kind === "unix" ? `unix:${rpc.path}` : hostPortOf(rpc),
    admin: hostPortOf(admin),
    http: [],
    workers: config.workers,
    io,
    startTimeMs,
  };
}

/** Other nodes of the store ask what this one serves. */
function answerOthers(
  { members }: Store,
  parts: Omit<Parameters<typeof QuestionAnswers.start>[0], "members">,
): QuestionAnswers | undefined {
  return members === undefined ? undefined : QuestionAnswers.start({ ...parts, members });
}

/** Where a forwarder listens; nothing for any other node. */
async function forwardedAddresses(config: Config, calls: RouterCalls): Promise<readonly string[]> {
  if (config.forward === undefined) return [];
  const port = await provisionForward(calls, config.forward);
  return config.tcpAddresses.map((address) => hostPort(address, port));
}

/** What the admin port tells at the moment. */
class CurrentReport implements AdminProviders {
  current: AdminProviders = startingReport(() => "the store is not open yet");
  readonly health: AdminProviders["health"] = () => this.current.health();
  readonly ready: AdminProviders["ready"] = () => this.current.ready();
  readonly metrics: AdminProviders["metrics"] = () => this.current.metrics();
  readonly snapshot: AdminProviders["snapshot"] = () => this.current.snapshot();
}

function waitsFor({ name, condition }: Store): string {
  if (condition.kind === "away") return `waits for the store ${name}: ${condition.cause}`;
  return `reads the store ${name}`;
}

function readyLine(node: MemberInfo, accepts: readonly string[], revision: Revision): string {
  const { rpc, admin, workers, io } = node;
  const words = { rpc, admin, http: node.http.join(","), tcp: accepts.join(","), workers, io };
  const told = Object.entries({ ...words, revision }).filter(([, value]) => value !== "");
  return `ready ${told.map(([key, value]) => `${key}=${value}`).join(" ")}`;
}

function storeSpec({ store, nodeName, stateDir, acceptStore }: Config): StoreSpec {
  if (store.kind !== "etcd") return store;
  return { ...store, nodeName, directory: stateDir, accept: acceptStore };
}

function openSealingKeys({ config, log }: NodeOptions): Promise<SealingKeys> {
  const { store, sealingKeyFile: file, stateDir } = config;
  const directory = store.kind === "memory" ? undefined : stateDir;
  return SealingKeys.open({ file, directory, log });
}

function workerSettings(
  { config, io, log, faultHooks = false }: Prepared,
  { keys: stickyKeys }: SealingKeys,
  pages: readonly Page[],
): WorkerSettings {
  return {
    io,
    accessLog: config.accessLog.kind !== "off",
    trustForwarded: config.trustForwarded,
    proxyProtocol: config.proxyProtocol,
    pages,
    via: config.via === "off" ? undefined : config.via,
    forwarded: config.forwarded,
    zone: config.zone,
    limits: limitsWithin(descriptorsMax(), config, log),
    stickyKeys,
    faultHooks,
  };
}

async function openAccessLog(config: Config, log: Log): Promise<AccessLogSink | undefined> {
  const { accessLog } = config;
  if (accessLog.kind === "off") return undefined;
  return await AccessLogSink.open({
    destination: accessLog.kind === "stdout" ? "-" : accessLog.path,
    log,
    dropCached,
  });
}

function hostPortOf(at: ListenAddress | undefined): string {
  return at === undefined ? "" : hostPort(at.address, at.port);
}

function hostPort(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** `crosspoint serve`: runs a node until a signal ends it; the exit status. */
export async function serve(config: Config): Promise<number> {
  const log = createLog({ format: config.logFormat });
  keepServingWithoutReader(log);
  logWarnings(log);
  const io = nodeIo(config.io, log); // wrong settings end before anything is opened
  const ends: Signals = signals();
  const release = holdProcess();
  try {
    return await Promise.race([untilAsked({ ...config, io }, log, ends), ends.insisted]);
  } finally {
    release();
  }
}

async function untilAsked(config: Config, log: Log, ends: Signals): Promise<number> {
  const starting = new AbortController();
  void ends.asked.then(() => starting.abort());
  let node: RunningNode;
  try {
    node = await startNode({ config, log, system: realSystem, signal: starting.signal });
  } catch {
    // startNode has said why; who ends a node that waits for its store has nothing to hear.
    return starting.signal.aborted ? 0 : 1;
  }
  process.stdout.write(`${node.readyLine}\n`);
  if (config.demo) process.stderr.write(demoHint(node));
  ends.onHangUp(() => node.reopenLog());
  void ends.asked.then((signal) => {
    log.info("draining", { signal, drainMs: config.drainMs });
    return node.stop(config.drainMs);
  });
  log.info("stopped", { cut: await node.left });
  return 0;
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
