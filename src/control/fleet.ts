// All workers, seen from the main thread: every one of them at the newest revision.
//
// Knows: piscina (the only file that does) and its rules: one permanent task per worker, talked to by
// MessagePort; a failed task is run again by us; an abort ends the thread.
// Does not know: how a change is decided (publisher), how sockets are opened (listeners), when a
// worker is replaced (supervisor), what a worker does (its entry file is only an address here).

import { Piscina } from "piscina";
import { connectionMemory } from "../channel/connection-counts.ts";
import { encodeSnapshot } from "../channel/encoding.ts";
import type {
  ExplainQuestion,
  Explanation,
  OpenPlace,
  RefusedListener,
  SharedEjection,
  StickyKeys,
  TableVersion,
  ToWorker,
} from "../channel/messages.ts";
import { rateMemory } from "../channel/rate-buckets.ts";
import { changeLogChangesMax, portRetryMsMax } from "../limits.ts";
import type { Change, ChangeSet } from "../model/change.ts";
import type { Revision } from "../model/revision.ts";
import type { Table } from "../model/table.ts";
import type { Unserved } from "../store/members.ts";
import { descriptorsMax } from "./connection-budget.ts";
import type { FleetOptions } from "./fleet-options.ts";
import { LeftDescriptors } from "./left-descriptors.ts";
import type { ListenerProblem } from "./listeners.ts";
import type { NodeMeasure } from "./measures.ts";
import { type Lag, Publisher } from "./publisher.ts";
import { ServedWaiters } from "./served-waiters.ts";
import type { NodeLag, PortReservation, Serving } from "./serving.ts";
import { type ServiceLoad, SharedRows } from "./shared-rows.ts";
import { Supervisor } from "./supervisor.ts";
import { newestUnserved, routesOfPorts, type UnservedRoute, unservedAt } from "./unserved.ts";
import type { WorkerLink } from "./worker-link.ts";
import { WorkerQuestions } from "./worker-questions.ts";
import type { FleetCounters, WorkerStatus } from "./worker-status.ts";

export class Fleet implements Serving {
  readonly nodeName: string;
  readonly #options: FleetOptions;
  readonly #pool: Piscina;
  readonly #publisher: Publisher;
  readonly #supervisor: Supervisor;
  readonly #descriptors: LeftDescriptors;
  readonly #waiters = new ServedWaiters();
  readonly #questions: WorkerQuestions;
  readonly #rows: SharedRows;
  /** By worker id: whom the publisher may name. */
  readonly #links = new Map<number, WorkerLink>();
  readonly #unsubscribe: () => void;
  /** The newest table as a snapshot, for as long as a worker may need it. */
  #encoded: readonly Uint8Array[] | undefined;
  #stickyKeys: StickyKeys;
  #leaving = false;

  /**
   * Opens the listeners of the table's routes, starts the workers, and resolves once every worker
   * serves the table. Rejects with the first worker's failure; nothing is left running then.
   */
  static async start(options: FleetOptions): Promise<Fleet> {
    const fleet = new Fleet(options);
    try {
      options.listeners.apply(putsOf(options.source.table));
      options.listeners.start();
      await fleet.#supervisor.start();
      return fleet;
    } catch (error) {
      await fleet.drain(0);
      throw error;
    }
  }

  private constructor(options: FleetOptions) {
    const { workers, settings, system, log, listeners, source } = options;
    this.nodeName = options.nodeName;
    this.#options = options;
    this.#stickyKeys = settings.stickyKeys;
    this.#publisher = new Publisher({
      revision: source.table.revision,
      logChangesMax: changeLogChangesMax,
    });
    this.#pool = new Piscina({
      filename: options.workerFile.href,
      minThreads: workers,
      maxThreads: workers,
      concurrentTasksPerWorker: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      // With the default a worker that waits for messages alone would sleep and be deaf.
      atomics: "disabled",
      recordTiming: false,
    });
    this.#questions = new WorkerQuestions(system, () => this.#supervisor.serving());
    this.#rows = new SharedRows({
      slots: workers,
      table: source.table,
      log,
      post: (message) => this.post(message),
    });
    const seed = (): number => 1 + Math.floor(system.random() * 2 ** 31);
    const addressSeed = settings.limits.connectionsPerAddressMax === undefined ? 0 : seed();
    this.#descriptors = new LeftDescriptors({
      slots: workers,
      numbers: descriptorsMax(),
      system,
      log,
    });
    this.#supervisor = new Supervisor({
      connections: connectionMemory(workers, addressSeed),
      rates: rateMemory(seed()),
      inFlight: this.#rows.memory,
      descriptors: this.#descriptors,
      slots: workers,
      settings,
      system,
      log,
      run: (start, port, signal) => this.#pool.run(start, { transferList: [port], signal }),
      endIdleThread: () => this.#endIdleThread(),
      events: {
        ready: (link) => this.#join(link),
        trouble: ({ slot }, reason) =>
          options.log.warn("a worker does not serve as it should", { worker: slot, reason }),
        ejected: (link, ejections) => this.#shareEjections(link, ejections),
        acked: (link, served, refused) => this.#acked(link, served, refused),
        nacked: (link, refused, reason) => this.#nacked(link, refused, reason),
        ended: (link) => this.#leave(link),
        gone: (slot) => listeners.settle(slot, new Set()),
        log: options.onLog,
      },
    });
    this.#pool.on("error", (error: Error) => this.#supervisor.poolFailed(error));
    listeners.onLoans = () => this.#touchAll();
    this.#unsubscribe = source.subscribe((changeSet) => this.#publish(changeSet));
  }

  /** The newest revision that every worker serves. */
  get servedRevision(): Revision {
    return this.#publisher.servedByAll();
  }

  /** The newest table, which workers serve or are about to. */
  get latest(): TableVersion {
    return this.#publisher.latest;
  }

  async whenServed(revision: Revision, signal: AbortSignal): Promise<readonly NodeLag[]> {
    if (this.#publisher.served(revision)) return this.#servedBut(revision);
    const refused = this.#refused(revision);
    if (refused !== undefined) return refused;
    return await this.#waiters.wait(revision, signal, (late) => this.#lags(late));
  }

  unserved(): readonly Unserved[] {
    return newestUnserved(this.#unservedRoutes());
  }

  reservePort(port: number, taken: (port: number) => boolean): Promise<PortReservation> {
    return this.#options.listeners.reservePort(port, taken);
  }

  explain(question: ExplainQuestion, signal: AbortSignal): Promise<Explanation> {
    return this.#questions.explain(question, signal);
  }

  measure(service: string | undefined, signal: AbortSignal): Promise<readonly NodeMeasure[]> {
    return this.#questions.measure(service, signal);
  }

  /** In flight and waiting on this node; undefined: the service has no limits and is not paused. */
  loadOf(service: string): ServiceLoad | undefined {
    return this.#rows.loadOf(service);
  }

  count(places: readonly OpenPlace[], signal: AbortSignal): Promise<readonly number[] | undefined> {
    return this.#questions.count(places, signal);
  }

  /** The node will leave: every answer says so from now on, and everything else goes on. */
  leaveSoon(): void {
    this.#leaving = true;
    this.post({ kind: "leaving" });
  }

  /** For every worker, and for each that comes from now on before its first table. */
  setStickyKeys(keys: StickyKeys): void {
    this.#stickyKeys = keys;
    this.post({ kind: "sticky-keys", keys });
  }

  /** To every worker that has its port; those that come later hear `greetings`. */
  post(message: ToWorker): void {
    for (const link of this.#links.values()) link.post(message);
  }

  /** Ports that routes want and that nobody can be served on. */
  problems(): readonly ListenerProblem[] {
    return this.#options.listeners.problems();
  }

  /** See Supervisor.counters. */
  counters(): FleetCounters {
    return this.#supervisor.counters();
  }

  status(): readonly WorkerStatus[] {
    return this.#supervisor.status();
  }

  /** For fault tests; the worker obeys only with `settings.faultHooks`. */
  crashWorker(slot: number): void {
    this.#supervisor.linkOf(slot)?.post({ kind: "crash" });
  }

  /** For fault tests; the worker obeys only with `settings.faultHooks`. */
  stallWorker(slot: number, ms: number): void {
    this.#supervisor.linkOf(slot)?.post({ kind: "stall", ms });
  }

  /** For fault tests: ends the thread of a worker that serves, in the middle of whatever it does. */
  endWorker(slot: number): void {
    this.#supervisor.endWorker(slot, "it was told to end");
  }

  /**
   * Accepts no more, lets open work finish until the deadline, cuts the rest, closes every socket.
   * Answers how many connections were cut.
   */
  async drain(deadlineMs: number): Promise<number> {
    this.#unsubscribe();
    this.#options.listeners.endAll();
    this.#touchAll();
    const cut = await this.#supervisor.drain(deadlineMs);
    await this.#pool.destroy();
    await this.#descriptors.closeAll();
    this.#options.listeners.close();
    this.#waiters.reconsider((revision) => this.#lags(revision));
    return cut;
  }

  #publish(changeSet: ChangeSet): void {
    this.#encoded = undefined;
    this.#options.listeners.apply(changeSet.changes);
    this.#rows.follow(changeSet.changes);
    if (changeSet.revision < this.#publisher.latest.revision) {
      this.#publisher.startAnew(changeSet.revision);
    } else this.#publisher.publish(changeSet);
    this.#pump();
  }

  /** Posts what the publisher decides; whoever owes an answer gets nothing, so a burst becomes one message. */
  #pump(): void {
    const { listeners } = this.#options;
    for (;;) {
      const send = this.#publisher.pollSend();
      if (send === undefined) return;
      const link = this.#links.get(send.worker);
      const loans = { version: listeners.version, byId: listeners.loansOf(link?.slot ?? 0) };
      link?.send(send, loans, () => this.#snapshotPieces());
    }
  }

  /** Encoded once per position, for all workers: the table is always at the newest. */
  #snapshotPieces(): readonly Uint8Array[] {
    this.#encoded ??= encodeSnapshot(this.#options.source.table.snapshot());
    return this.#encoded;
  }

  #touchAll(): void {
    for (const worker of this.#links.keys()) this.#publisher.touch(worker);
    this.#pump();
  }

  #join(link: WorkerLink): void {
    const keys = this.#stickyKeys;
    if (keys !== this.#options.settings.stickyKeys) link.post({ kind: "sticky-keys", keys });
    link.post(this.#rows.greeting);
    for (const greeting of this.#options.greetings?.() ?? []) link.post(greeting);
    if (this.#leaving) link.post({ kind: "leaving" });
    this.#links.set(link.workerId, link);
    this.#publisher.addWorker(link.workerId);
    this.#pump();
  }

  #leave(link: WorkerLink): void {
    this.#links.delete(link.workerId);
    this.#publisher.removeWorker(link.workerId);
    this.#settleWaiters();
  }

  #acked(link: WorkerLink, served: TableVersion, refused: readonly RefusedListener[]): void {
    this.#publisher.ack(link.workerId, served.position);
    this.#options.listeners.settle(link.slot, link.held);
    if (refused.length > 0) this.#offerAgain(link, refused);
    this.#settleWaiters();
    this.#pump();
  }

  #nacked(link: WorkerLink, { position, revision }: TableVersion, reason: string): void {
    const worker = link.slot;
    this.#options.log.warn("a worker refused a revision", { worker, revision, reason });
    this.#publisher.nack(link.workerId, position, reason);
    this.#pump();
    this.#waiters.reconsider((waited) => this.#refused(waited));
  }

  /** What one worker found out spares the others their own failures. */
  #shareEjections(from: WorkerLink, ejections: readonly SharedEjection[]): void {
    for (const link of this.#links.values()) {
      if (link !== from) link.post({ kind: "ejected", ejections });
    }
  }

  #offerAgain(link: WorkerLink, refused: readonly RefusedListener[]): void {
    const worker = link.slot;
    this.#options.log.warn("a worker cannot listen", { worker, refused });
    this.#options.system.after(portRetryMsMax, () => {
      this.#publisher.touch(link.workerId);
      this.#pump();
    });
  }

  #settleWaiters(): void {
    if (this.#links.size === 0) return;
    const revision = this.#publisher.servedByAll();
    if (this.#publisher.served(revision)) {
      this.#waiters.served(revision, (waited) => this.#servedBut(waited));
    }
    // All have it: nobody needs the bytes of a snapshot before a worker is replaced.
    if (this.#publisher.settled()) {
      this.#encoded = undefined;
      this.#rows.settled();
    }
  }

  /** Every worker serves `revision`, and maybe not the change that made it. */
  #servedBut(revision: Revision): readonly NodeLag[] {
    const reason = unservedAt(this.#unservedRoutes(), revision);
    const { nodeName, servedRevision } = this;
    return reason === undefined ? [] : [{ node: nodeName, servedRevision, reason }];
  }

  *#unservedRoutes(): Iterable<UnservedRoute> {
    const { listeners, source } = this.#options;
    yield* routesOfPorts(source.table, listeners.problems());
    for (const { slot, deaf } of this.#links.values()) {
      const loans = listeners.loansOf(slot);
      const problems = deaf.flatMap(({ id, reason }) => {
        const loan = loans.get(id);
        if (loan?.protocol !== "tcp") return [];
        return [{ port: loan.port, reason: `worker ${slot} cannot listen: ${reason}` }];
      });
      yield* routesOfPorts(source.table, problems);
    }
    yield* source.unserved?.() ?? [];
  }

  /** Who lags, when waiting longer cannot help: a worker refused the revision and nothing newer is on its way. */
  #refused(revision: Revision): readonly NodeLag[] | undefined {
    const lags = this.#publisher.lagging(revision);
    return lags.some(({ refusal }) => refusal !== undefined) ? this.#lags(revision) : undefined;
  }

  #lags(revision: Revision): readonly NodeLag[] {
    const servedRevision = this.servedRevision;
    const slotOf = ({ worker }: Lag): number => this.#links.get(worker)?.slot ?? worker;
    const reasons = this.#publisher
      .lagging(revision)
      .toSorted((a, b) => slotOf(a) - slotOf(b))
      .map((lag) => reasonOf(slotOf(lag), lag, revision));
    if (this.#links.size === 0) reasons.push("no worker is running");
    if (revision > this.#publisher.latest.revision) {
      const at = this.#publisher.latest.revision;
      reasons.unshift(
        `revision ${revision} has not come back from the store yet (this node is at ${at})`,
      );
    }
    return [{ node: this.nodeName, servedRevision, reason: reasons.join("; ") }];
  }

  /** The one idle thread takes the next task; aborting a task ends its thread (all others run one). */
  #endIdleThread(): void {
    const end = new AbortController();
    this.#pool.run({}, { signal: end.signal }).catch(() => {});
    end.abort();
  }
}

function* putsOf(table: Table): Iterable<Change> {
  for (const route of table.routes()) yield { kind: "route-put", route };
}

function reasonOf(slot: number, { servedRevision, refusal }: Lag, revision: Revision): string {
  if (refusal !== undefined) {
    return `worker ${slot} refused revision ${refusal.revision}: ${refusal.reason} (serves ${servedRevision})`;
  }
  return `worker ${slot} has not acknowledged revision ${revision} (serves ${servedRevision})`;
}
