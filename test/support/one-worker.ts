// One worker in the test's own thread, on real sockets: no main thread, no store, no pool of threads.
// What it is told and what it says goes through a MessageChannel, as in a node.

import { MessageChannel, type MessagePort } from "node:worker_threads";
import {
  ConnectionCounts,
  type ConnectionMemory,
  connectionMemory,
  listenerRow,
  Row,
} from "../../src/channel/connection-counts.ts";
import { descriptorMemory } from "../../src/channel/descriptors.ts";
import { encodeSnapshot } from "../../src/channel/encoding.ts";
import type {
  BackendMeasure,
  ExplainQuestion,
  Explanation,
  FromWorker,
  ListenerLoan,
  TableVersion,
  ToWorker,
  WorkerSettings,
} from "../../src/channel/messages.ts";
import { type RateMemory, rateMemory } from "../../src/channel/rate-buckets.ts";
import type { Io } from "../../src/io/io.ts";
import { closeFd, listen, openListener } from "../../src/io/sockets.ts";
import type { Stream } from "../../src/io/stream.ts";
import * as limitsDefault from "../../src/limits.ts";
import type { Backend } from "../../src/model/backend.ts";
import type { Change } from "../../src/model/change.ts";
import type { Position } from "../../src/model/position.ts";
import { parseRevision, type Revision } from "../../src/model/revision.ts";
import type { Route } from "../../src/model/route.ts";
import type { Service } from "../../src/model/service.ts";
import {
  Counter,
  type CounterName,
  countersByteLength,
  countersIn,
  Limited,
  type LimitName,
} from "../../src/telemetry/counters.ts";
import { LogPages, logPagesByteLength } from "../../src/telemetry/log-pages.ts";
import type { WorkerLimits } from "../../src/worker/make-context.ts";
import { runWorker } from "../../src/worker/run-worker.ts";
import { testedAdapter } from "./adapters.ts";
import { RowKeeper } from "./row-keeper.ts";
import { until } from "./until.ts";

export interface OneWorkerOptions {
  readonly routes?: readonly Route[];
  readonly services?: readonly Service[];
  readonly backends?: readonly Backend[];
  /** What differs from limits.ts. */
  readonly limits?: Partial<WorkerLimits>;
  readonly settings?: Partial<WorkerSettings>;
  readonly address?: string;
  /** Shared with other workers; each has a slot of its own. */
  readonly connections?: ConnectionMemory;
  readonly rates?: RateMemory;
  readonly rows?: RowKeeper;
  readonly slot?: number;
}

/** Gauges that must be 0 when nothing is open; `heartbeatMs` and `servedRevision` are none of these. */
export const openGauges = [
  "connectionsOpen",
  "requestsInFlight",
  "upstreamOpen",
  "upstreamIdle",
  "upgradedOpen",
  "tcpConnectionsOpen",
] as const satisfies readonly CounterName[];

type Answer<K extends FromWorker["kind"]> = Extract<FromWorker, { kind: K }>;

export class OneWorker {
  readonly address: string;
  readonly httpPort: number;
  readonly tcpPort: number;
  /** Access-log lines so far, each parsed. */
  readonly lines: Record<string, unknown>[] = [];
  /** Every stream that the worker accepted or dialled, in that order. */
  readonly accepted: Stream[] = [];
  readonly dialled: Stream[] = [];
  /** Ended: the worker has drained. */
  readonly ended: Promise<void>;
  readonly #control: MessagePort;
  readonly #counters: Float64Array;
  readonly #connections: ConnectionMemory;
  readonly #rows: RowKeeper;
  readonly #logPages: LogPages;
  readonly #loans: readonly ListenerLoan[];
  readonly #heard: FromWorker[] = [];
  #revision = 1;
  #lastTurn: Promise<void> = Promise.resolve();
  #ids = 0;
  #drained = false;

  /** Listens on two free ports (HTTP and TCP) and serves `options`; resolves when it is acknowledged. */
  static async start(
    options: OneWorkerOptions | ((ports: { tcpPort: number }) => OneWorkerOptions),
  ): Promise<OneWorker> {
    const address = (typeof options === "function" ? undefined : options.address) ?? "127.0.0.1";
    const http = openListener({ address, port: 0 });
    const tcp = openListener({ address, port: 0 });
    listen(http.fd, 512);
    listen(tcp.fd, 512);
    const chosen = typeof options === "function" ? options({ tcpPort: tcp.port }) : options;
    const worker = new OneWorker(chosen, [
      { id: 1, protocol: "http", address, ...http, row: listenerRow(0) },
      { id: 2, protocol: "tcp", address, ...tcp, row: listenerRow(1) },
    ]);
    await worker.#install(chosen);
    return worker;
  }

  private constructor(options: OneWorkerOptions, loans: readonly ListenerLoan[]) {
    const { port1, port2 } = new MessageChannel();
    const memory = new SharedArrayBuffer(countersByteLength);
    const logMemory = new SharedArrayBuffer(logPagesByteLength);
    this.#control = port1;
    this.#logPages = new LogPages(logMemory);
    this.#counters = countersIn(memory);
    this.#loans = loans;
    this.#connections = options.connections ?? connectionMemory(1, 1);
    this.#rows = options.rows ?? new RowKeeper();
    this.address = loans[0]!.address;
    this.httpPort = loans[0]!.port;
    this.tcpPort = loans[1]!.port;
    port1.on("message", (message: FromWorker) => this.#hear(message));
    this.ended = runWorker(
      {
        workerId: 1,
        slot: options.slot ?? 0,
        control: port2,
        counters: memory,
        connections: this.#connections,
        rates: options.rates ?? rateMemory(1),
        inFlight: this.#rows.memory,
        descriptors: descriptorMemory(1_024),
        logMemory: options.settings?.accessLog === true ? logMemory : undefined,
        settings: {
          io: testedAdapter(),
          accessLog: false,
          trustForwarded: [],
          proxyProtocol: [],
          pages: [],
          via: undefined,
          forwarded: false,
          zone: "",
          limits: {},
          stickyKeys: { current: new Uint8Array(32).fill(7), previous: undefined },
          faultHooks: false,
          ...options.settings,
        },
      },
      { ...limitsDefault, timerTickMs: 10, accessLogFlushMs: 5, ...options.limits },
      { ioOf: (io) => this.#watched(io) },
    );
  }

  /** Notes the streams on their way. */
  #watched(io: Io): Io {
    return {
      name: io.name,
      listen: (place, accept) =>
        io.listen(place, (stream) => {
          this.accepted.push(stream);
          accept(stream);
        }),
      dial: (host, port, events) => {
        const stream = io.dial(host, port, events);
        this.dialled.push(stream);
        return stream;
      },
    };
  }

  #hear(message: FromWorker): void {
    if (message.kind === "log") {
      const text = Buffer.from(
        this.#logPages.bytesOf(message.page).subarray(0, message.length),
      ).toString("latin1");
      this.#logPages.release(message.page);
      for (const line of text.split("\n")) if (line !== "") this.lines.push(JSON.parse(line));
    } else this.#heard.push(message);
  }

  #tell(message: ToWorker): void {
    this.#control.postMessage(message);
  }

  /** The next message of this kind that `wanted` accepts, taken out of what was heard. */
  async #answer<K extends FromWorker["kind"]>(
    kind: K,
    wanted: (message: Answer<K>) => boolean = () => true,
  ): Promise<Answer<K>> {
    const find = (): number =>
      this.#heard.findIndex((message) => message.kind === kind && wanted(message as Answer<K>));
    await until(() => find() >= 0, `the worker's ${kind}`);
    return this.#heard.splice(find(), 1)[0] as Answer<K>;
  }

  async #install(options: OneWorkerOptions): Promise<void> {
    const { routes = [], services = [], backends = [] } = options;
    const revision = parseRevision(this.#revision);
    const snapshot = { revision, routes, services, backends };
    const pieces = encodeSnapshot(snapshot);
    const position = positionOf(revision);
    this.#tell(this.#rows.begin(snapshot));
    this.#tell({ kind: "snapshot", position, revision, pieces, listeners: this.#loans });
    await this.#acknowledged(revision);
  }

  async #acknowledged(position: number): Promise<void> {
    const find = (): number =>
      this.#heard.findIndex(
        (message) =>
          (message.kind === "ack" || message.kind === "nack") && message.position === position,
      );
    await until(() => find() >= 0, `position ${position} to be acknowledged`);
    const message = this.#heard.splice(find(), 1)[0];
    if (message?.kind === "nack") throw new Error(`the worker refused: ${message.reason}`);
  }

  /** Serves a whole new table, as after a restart of the publisher. */
  replace(options: OneWorkerOptions): Promise<void> {
    return this.#inTurn(() => {
      this.#revision++;
      return this.#install(options);
    });
  }

  /** At most one revision is under way, as the publisher has it. */
  #inTurn(action: () => Promise<void>): Promise<void> {
    const turn = this.#lastTurn.then(action);
    this.#lastTurn = turn.catch(() => {});
    return turn;
  }

  /** Applies changes as a delta and waits for the acknowledgement. */
  change(...changes: readonly Change[]): Promise<void> {
    return this.#inTurn(async () => {
      const base = positionOf(this.#revision);
      const revision = parseRevision(++this.#revision);
      this.#tell(this.#rows.follow(changes));
      this.#tell({ kind: "delta", base, ...versionOf(revision), changes, opened: [], closed: [] });
      await this.#acknowledged(revision);
    });
  }

  /** As `change`, under a revision of the test's choice. */
  changeAt(label: number, ...changes: readonly Change[]): Promise<void> {
    return this.#inTurn(async () => {
      const base = positionOf(this.#revision);
      const position = positionOf(++this.#revision);
      const revision = parseRevision(label);
      this.#tell(this.#rows.follow(changes));
      this.#tell({ kind: "delta", base, position, revision, changes, opened: [], closed: [] });
      await this.#acknowledged(position);
    });
  }

  /** Sends changes that do not fit; answers why they were refused. */
  async refuses(
    numbers: { readonly base: number; readonly revision: number },
    ...changes: readonly Change[]
  ): Promise<string> {
    const base = positionOf(numbers.base);
    const revision = parseRevision(numbers.revision);
    this.#tell({ kind: "delta", base, ...versionOf(revision), changes, opened: [], closed: [] });
    return (await this.#answer("nack", (nack) => nack.revision === revision)).reason;
  }

  /** Takes the loan of a port back; the socket itself stays open. */
  async closePort(protocol: "http" | "tcp"): Promise<void> {
    const revision = parseRevision(this.#revision);
    const closed = this.#loans.filter((loan) => loan.protocol === protocol).map(({ id }) => id);
    const version = versionOf(revision);
    const base = version.position;
    this.#tell({ kind: "delta", base, ...version, changes: [], opened: [], closed });
    await this.#answer("ack", (ack) => ack.revision === revision);
  }

  async explain(question: ExplainQuestion): Promise<Explanation> {
    const id = ++this.#ids;
    this.#tell({ kind: "explain", id, question });
    return (await this.#answer("explained", (message) => message.id === id)).explanation;
  }

  async measures(): Promise<readonly BackendMeasure[]> {
    const id = ++this.#ids;
    this.#tell({ kind: "measure", id, service: undefined });
    return (await this.#answer("measured", (message) => message.id === id)).measures;
  }

  /** How often a limit refused or cut something. */
  limited(name: LimitName): number {
    return this.#counters[Limited[name]]!;
  }

  counter(name: CounterName): number {
    return this.#counters[Counter[name]]!;
  }

  /** The gauges that are not 0; empty when nothing is open. */
  open(): Partial<Record<CounterName, number>> {
    const open: Partial<Record<CounterName, number>> = {};
    for (const name of openGauges) if (this.counter(name) !== 0) open[name] = this.counter(name);
    return open;
  }

  /** Waits until a counter has this value. */
  async reaches(name: CounterName, value: number): Promise<void> {
    await until(
      () => this.counter(name) === value,
      () => `${name} to be ${value}; it is ${this.counter(name)}`,
    );
  }

  /** Waits for the access log's line number `count` and answers it. */
  async line(count: number): Promise<Record<string, unknown>> {
    await until(() => this.lines.length >= count, `access-log line ${count}`);
    return this.lines[count - 1]!;
  }

  /** Starts to drain; `cut` is how many connections had to be cut at the deadline. */
  async drain(deadlineMs: number): Promise<{ readonly cut: number }> {
    this.#drained = true;
    this.#tell({ kind: "drain", deadlineMs });
    const { cut } = await this.#answer("drained");
    await this.ended;
    return { cut };
  }

  /** Ends it whatever is open, and checks that nothing was left open in the counters. */
  async close(): Promise<void> {
    if (!this.#drained) await this.drain(0);
    this.#control.close();
    for (const { fd } of this.#loans) if (fd !== undefined) closeFd(fd);
    const left = this.open();
    const counts = new ConnectionCounts(this.#connections, 0);
    if (this.#connections.slots === 1 && counts.total(Row.Node) + counts.total(Row.Upgraded) > 0) {
      throw new Error("a drained worker still counts connections for the node");
    }
    if (Object.keys(left).length > 0) {
      throw new Error(`a drained worker still counts ${JSON.stringify(left)}`);
    }
  }
}

/** The positions of this publisher are its revisions. */
function positionOf(revision: number): Position {
  return revision as Position;
}

function versionOf(revision: Revision): TableVersion {
  return { position: positionOf(revision), revision };
}
