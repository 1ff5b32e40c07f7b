// Who may go on to a service that has limits, or is paused, and who waits: one line for requests and TCP connections, in
// the order of coming.
//
// Counts what goes on, in memory that all workers share; looks at it after it has counted, so that no limit is passed.
// What this worker itself ends lets its own first go in the same turn; what others end is seen at the next look. A
// worker whose first has waited longer is left a place, so that nobody is forgotten (docs/decisions/0041).
//
// Does not know what waits (Waiter), nor how a backend is chosen among those that have room.

import { Field, type InFlight, noRow, stampOf } from "../channel/in-flight.ts";
import type { Pause, ServiceLimits } from "../model/service-options.ts";
import type { BackendState, Endpoint } from "../routing/backend-state.ts";
import type { Gate, GateFigures } from "../routing/gate.ts";
import type { ServiceState } from "../routing/service-state.ts";
import { Counter, type CounterName } from "../telemetry/counters.ts";
import { BackendRows } from "./backend-rows.ts";
import type { CountedConnections } from "./counted-connections.ts";
import type { SentPreface } from "./upstream-connection.ts";
import type { UpstreamPool } from "./upstream-pool.ts";
import { type Waiter, WaitingLine, type WaitRefusal } from "./waiting-line.ts";

const refusalCounters = {
  "service-full": "serviceFull",
  "queue-time": "queueTooLong",
  "paused-full": "pausedFull",
  "paused-too-long": "pausedTooLong",
} as const satisfies Record<WaitRefusal, CounterName>;

/** Of a service whose limits were just taken away: all that wait are about to go. */
const unbounded: { readonly queue: number; readonly queueMs?: number } = { queue: 2 ** 31 - 1 };

/** What one request or connection holds of its service; made when it first meets a gate. */
export class Place {
  /** Where it is counted; undefined: nowhere. */
  gate: ServiceGate | undefined = undefined;
  /** It counts as a connection besides. */
  isConnection = false;
  /** It may dial this one: counted already. */
  reserved: Endpoint | undefined = undefined;
  waiter: Waiter | undefined = undefined;
}

export interface GateSurroundings {
  readonly inFlight: InFlight;
  readonly counters: Float64Array;
  readonly pool: Pick<UpstreamPool, "hasIdle" | "hasAnyIdle" | "renew" | "close">;
  readonly counted: CountedConnections;
  readonly limits: {
    readonly queueMs: number;
    readonly queueAheadMs: number;
    readonly queueAwakeMs: number;
    readonly resumeBatchMin: number;
  };
  /** ms, on a clock that all workers share. */
  readonly sharedMs: () => number;
  /** Tells it of rows from now on; `over`: no longer. */
  readonly live: (gate: ServiceGate) => void;
  readonly over: (gate: ServiceGate) => void;
  /** Calls `letIn` at the end of this turn. */
  readonly soon: (gate: ServiceGate) => void;
  /** Calls `look` from time to time, while somebody waits. */
  readonly watch: (gate: ServiceGate) => void;
}

export class ServiceGate implements Gate {
  readonly line = new WaitingLine();
  #service: ServiceState;
  readonly #around: GateSurroundings;
  /** -1: it has none, or nobody has come yet. */
  #row = noRow;
  /** Somebody has come: it writes to its row. Of a table that never serves, no gate does. */
  #isLive = false;
  /** Written while it is live and each backend has a limit of its own. */
  readonly #backends: BackendRows;
  #countsBackends = false;
  /** Of this worker, through this gate. */
  #requests = 0;
  #connections = 0;
  #pause: Pause | undefined;
  /** Of the pause that has ended, while somebody is left who waited for that. */
  #resumed: Pause | undefined = undefined;
  #resumedMs = 0;
  /** How many may go at one look, and how many are left of those. */
  #batch = Number.POSITIVE_INFINITY;
  #left = Number.POSITIVE_INFINITY;

  constructor(around: GateSurroundings, service: ServiceState) {
    this.#around = around;
    this.#service = service;
    this.#backends = new BackendRows(around.inFlight);
  }

  get #limits(): ServiceLimits | undefined {
    return this.#service.options?.limits;
  }

  /** Nothing is left that it would be needed for. */
  get isIdle(): boolean {
    return this.line.length === 0 && this.#limits === undefined && this.#pause === undefined;
  }

  figures(): GateFigures {
    const { inFlight } = this.#around;
    const row = inFlight.rowOf(this.#service.name);
    return {
      requests: inFlight.total(row, Field.Requests, this.#requests),
      connections: inFlight.total(row, Field.Connections, this.#connections),
      waiting: inFlight.total(row, Field.Waiting, this.line.length),
    };
  }

  // --- those who come

  /** Whether it may choose a backend now: then it counts as the service's until `leave`. */
  enter(place: Place): boolean {
    if (!this.#isLive) this.#begin();
    if (this.#pause !== undefined) return false;
    if (place.gate === this) return true;
    place.gate?.leave(place);
    if (!this.#isTurnOf(place.waiter) || !this.#claim(place)) return false;
    place.gate = this;
    return true;
  }

  #begin(): void {
    this.#isLive = true;
    this.#around.live(this);
    this.rowsChanged();
  }

  #isTurnOf(waiter: Waiter | undefined): boolean {
    const { first } = this.line;
    if (first !== undefined) return waiter === first;
    return !this.#isOtherFirst(this.#around.sharedMs());
  }

  #isOtherFirst(sinceMs: number): boolean {
    if (this.#limits === undefined) return false;
    const { inFlight, limits, sharedMs } = this.#around;
    const { queueAheadMs: aheadMs, queueAwakeMs: awakeMs } = limits;
    return inFlight.isOtherFirst(this.#row, { sinceMs, nowMs: sharedMs(), aheadMs, awakeMs });
  }

  #claim({ isConnection }: Place): boolean {
    const { inFlight } = this.#around;
    const { requests, connections } = this.#limits ?? {};
    const row = this.#row;
    if (requests === undefined) inFlight.set(row, Field.Requests, this.#requests + 1);
    else if (!inFlight.claim(row, Field.Requests, this.#requests, requests)) return false;
    if (isConnection) {
      if (connections === undefined) inFlight.set(row, Field.Connections, this.#connections + 1);
      else if (!inFlight.claim(row, Field.Connections, this.#connections, connections)) {
        inFlight.set(row, Field.Requests, this.#requests);
        return false;
      }
      this.#connections += 1;
    }
    this.#requests += 1;
    return true;
  }

  /** It is the service's no longer: another one may go on. */
  leave(place: Place): void {
    if (place.gate !== this) return;
    this.giveBack(place);
    this.roomMade();
  }

  /** As if it had not entered: no backend had room. */
  giveBack(place: Place): void {
    if (place.gate !== this) return;
    place.gate = undefined;
    const { inFlight } = this.#around;
    inFlight.set(this.#row, Field.Requests, --this.#requests);
    if (place.isConnection) inFlight.set(this.#row, Field.Connections, --this.#connections);
  }

  /** Something has ended. */
  roomMade(): void {
    if (this.line.length > 0) this.#around.soon(this);
  }

  // --- backends

  /** Counts one more request there, if there is room for it, and for a connection if it needs a new one. */
  takeRoom(backend: BackendState, place: Place, preface: SentPreface | undefined): boolean {
    const { requestsPerBackend, connectionsPerBackend } = this.#limits ?? {};
    // A hedge may be the first that comes.
    if (!this.#isLive) this.#begin();
    if (requestsPerBackend !== undefined && !this.#backends.claim(backend, requestsPerBackend)) {
      return false;
    }
    if (
      connectionsPerBackend === undefined ||
      this.#takeConnection(backend.endpoint, place, preface, connectionsPerBackend)
    ) {
      return true;
    }
    if (requestsPerBackend !== undefined) this.#backends.tell(backend);
    return false;
  }

  #takeConnection(
    endpoint: Endpoint,
    place: Place,
    preface: SentPreface | undefined,
    max: number,
  ): boolean {
    const { pool, counted } = this.#around;
    if (pool.hasIdle(endpoint, preface)) return true;
    // What another client's preface keeps idle serves nobody else: it is given up.
    if (!counted.reserve(endpoint, max)) return pool.hasAnyIdle(endpoint);
    place.reserved = endpoint;
    return true;
  }

  get limitsConnections(): boolean {
    return this.#limits?.connectionsPerBackend !== undefined;
  }

  /** Its request there has ended: `backend.inFlight` says so already. */
  leftBackend(backend: BackendState): void {
    if (this.#countsBackends) this.#backends.tell(backend);
    this.roomMade();
  }

  /** From now on, or no longer; or rows have come or gone. */
  #countBackends(): void {
    this.#countsBackends = this.#isLive && this.#limits?.requestsPerBackend !== undefined;
    if (this.#countsBackends) this.#backends.renew(this.#service.backends);
    else this.#backends.clear();
  }

  // --- the line

  /**
   * It waits from now on; or why it may not. Who was let through before (`again`) comes ahead of all who were not.
   */
  join(waiter: Waiter, again: boolean): WaitRefusal | undefined {
    const { inFlight, counters, limits, sharedMs } = this.#around;
    const nowMs = sharedMs();
    const pause = this.#pause ?? this.#resumed;
    const { queue = 0, queueMs = limits.queueMs } = pause ?? this.#limits ?? unbounded;
    const row = this.#row;
    if (!again && !inFlight.claim(row, Field.Waiting, this.line.length, queue)) {
      return this.#refused(pause === undefined ? "service-full" : "paused-full");
    }
    waiter.joinedMs = nowMs;
    waiter.sinceMs = again ? Math.min(nowMs, this.line.first?.sinceMs ?? nowMs) : nowMs;
    if (waiter.deadlineMs === 0 || pause !== undefined) {
      waiter.deadlineMs = Math.max(waiter.deadlineMs, nowMs + queueMs);
    }
    if (again) this.line.addAgain(waiter);
    else this.line.add(waiter);
    counters[Counter.waiting]! += 1;
    counters[Counter.waitedTotal]! += 1;
    this.#tell(nowMs);
    this.#around.watch(this);
    return undefined;
  }

  /** It goes on, or away. */
  depart(waiter: Waiter): void {
    if (waiter.line !== this.line) return;
    const nowMs = this.#around.sharedMs();
    this.line.remove(waiter);
    waiter.waitedMs += nowMs - waiter.joinedMs;
    this.#around.counters[Counter.waiting]! -= 1;
    this.#tell(nowMs);
    // The one behind it has not been asked yet.
    this.roomMade();
  }

  /** Says who is first and how many there are. */
  #tell(nowMs: number): void {
    const { inFlight } = this.#around;
    const { first, length } = this.line;
    const since = first === undefined ? 0 : stampOf(first.sinceMs);
    inFlight.set(this.#row, Field.Waiting, length);
    inFlight.set(this.#row, Field.FirstSince, since);
    inFlight.set(this.#row, Field.LookedAt, stampOf(nowMs));
  }

  #refused(reason: WaitRefusal): WaitRefusal {
    this.#around.counters[Counter[refusalCounters[reason]]]! += 1;
    return reason;
  }

  /** Time has passed: whoever has waited too long goes, and whoever may go on does. */
  look(): void {
    const nowMs = this.#around.sharedMs();
    this.line.expire(nowMs, (waiter) => {
      this.#around.counters[Counter.waiting]! -= 1;
      waiter.waitedMs += nowMs - waiter.joinedMs;
      waiter.owner.onWaitedTooLong(
        this.#refused(this.#pause === undefined ? "queue-time" : "paused-too-long"),
      );
    });
    this.#left = this.#batch;
    this.#batch *= 2;
    this.letIn();
    this.#tell(nowMs);
  }

  /** In order, as long as there is room. */
  letIn(): void {
    const { line } = this;
    for (let { first } = line; first !== undefined && this.#mayGo(first); { first } = line) {
      if (!first.owner.onTurn() || line.first === first) break;
      this.#left -= 1;
    }
    // Without limits the line will be empty soon.
    const mayEnd = this.#resumed !== undefined && this.#limits !== undefined;
    if (mayEnd && !line.hasSince(this.#resumedMs)) this.#resumed = undefined;
    if (line.length > 0) return;
    this.#resumed = undefined;
    this.#batch = this.#left = Number.POSITIVE_INFINITY;
    if (this.isIdle) this.#close();
  }

  #mayGo({ sinceMs }: Waiter): boolean {
    return this.#pause === undefined && this.#left > 0 && !this.#isOtherFirst(sinceMs);
  }

  // --- settings

  moveTo(newer: ServiceState): void {
    this.#service = newer;
    this.settingsChanged();
  }

  /** Limits or the pause are others, or backends. */
  settingsChanged(): void {
    const { pause } = this.#service;
    const before = this.#pause;
    this.#pause = pause;
    this.#countBackends();
    if (pause !== undefined && before === undefined) this.#paused(pause);
    if (pause === undefined && before !== undefined) this.#resume(before);
    if (this.isIdle) this.#close();
    else if (this.line.length > 0) this.#around.soon(this);
  }

  #paused({ queueMs }: Pause): void {
    this.line.extend(queueMs);
    this.#renewConnections();
  }

  #resume(pause: Pause): void {
    if (this.line.length > 0) {
      this.#resumed = pause;
      this.#resumedMs = this.#around.sharedMs();
      this.#batch = this.#left = this.#around.limits.resumeBatchMin;
    }
    this.#renewConnections();
  }

  /** Its backends may have been started anew: what was connected before is not to meet a request. */
  #renewConnections(): void {
    for (const { endpoint } of this.#service.backends) this.#around.pool.renew(endpoint);
  }

  /** Another worker waits, perhaps for a connection that is idle here. */
  yieldConnections(): void {
    if (!this.limitsConnections) return;
    if (!this.#isOtherFirst(this.line.first?.sinceMs ?? this.#around.sharedMs())) return;
    for (const { endpoint } of this.#service.backends) this.#around.pool.close(endpoint);
  }

  /** Rows have come or gone. */
  rowsChanged(): void {
    const { inFlight } = this.#around;
    const row = inFlight.rowOf(this.#service.name);
    if (row !== this.#row) {
      this.#forgetRow();
      this.#row = row;
    }
    inFlight.set(row, Field.Requests, this.#requests);
    inFlight.set(row, Field.Connections, this.#connections);
    this.#tell(this.#around.sharedMs());
    this.#countBackends();
  }

  #forgetRow(): void {
    const { inFlight } = this.#around;
    for (const field of Object.values(Field)) inFlight.set(this.#row, field, 0);
  }

  /** What still is in flight counts for nothing any more. */
  #close(): void {
    this.#forgetRow();
    this.#row = noRow;
    this.#isLive = false;
    this.#countBackends();
    this.#around.over(this);
    if (this.#service.gate === this) this.#service.gate = undefined;
  }
}
