// Puts the parts of one worker together: what its sessions share, made from the settings, the limits
// and the clock that it is given.

import { ConnectionCounts } from "../channel/connection-counts.ts";
import { InFlight } from "../channel/in-flight.ts";
import type { WorkerStart } from "../channel/messages.ts";
import { RateBuckets } from "../channel/rate-buckets.ts";
import type { Io } from "../io/io.ts";
import { CidrSet } from "../model/cidr.ts";
import { revisionZero } from "../model/revision.ts";
import type { HeadLimits } from "../protocol/request-head.ts";
import { ResponseHead } from "../protocol/response-head.ts";
import { RouteTable } from "../routing/route-table.ts";
import type { System } from "../system.ts";
import { AccessLog } from "../telemetry/access-log.ts";
import { Counter, countersIn } from "../telemetry/counters.ts";
import { LogPages } from "../telemetry/log-pages.ts";
import { ByteWriter } from "./byte-writer.ts";
import type { SessionLimits, WorkerContext } from "./context.ts";
import { CountedConnections } from "./counted-connections.ts";
import { Ejections } from "./ejections.ts";
import { ExchangePool } from "./exchange-pool.ts";
import { HealthBook } from "./health-book.ts";
import { knownAnswers, RequestHeads } from "./known-heads.ts";
import { Mirrors } from "./mirrors.ts";
import type { IoLimits } from "./open-io.ts";
import { HeadFacts } from "./request-facts.ts";
import { RequestIds } from "./request-ids.ts";
import { ServiceGates } from "./service-gates.ts";
import { ServiceUpkeep } from "./service-upkeep.ts";
import { ShortTimes } from "./short-times.ts";
import { StickyCookie } from "./sticky-cookie.ts";
import { TimerWheel } from "./timer-wheel.ts";
import { TurnClock } from "./turn-clock.ts";
import { UpstreamPool } from "./upstream-pool.ts";
import { Via } from "./via.ts";

/** Everything in limits.ts that a worker keeps. Bytes and ms. */
export interface WorkerLimits extends SessionLimits, HeadLimits, IoLimits {
  readonly headBytesMax: number;
  readonly timerTickMs: number;
  readonly accessLogFlushMs: number;
  readonly serviceUpkeepMs: number;
  readonly queueMs: number;
  readonly queueLookMs: number;
  readonly queueAheadMs: number;
  readonly queueAwakeMs: number;
  readonly resumeBatchMin: number;
}

/** Heads, small bodies and a chunk's edges; grows once if a head needs more. */
const writerBytes = 64 * 1024;

export function makeContext(
  start: WorkerStart,
  limits: WorkerLimits,
  system: System,
  io: Io,
): WorkerContext {
  const { settings } = start;
  const counters = countersIn(start.counters);
  const clock = new TurnClock(system);
  const requestHeads = new RequestHeads(limits);
  const nowMs = (): number => clock.monotonicMs();
  const wheel = new TimerWheel({ tickMs: limits.timerTickMs, nowMs: system.monotonicMs() });
  const inFlight = new InFlight(start.inFlight, start.slot);
  const counted = new CountedConnections(inFlight);
  const pool = new UpstreamPool(() => context);
  const sharedMs = (): number => system.heartbeatMs();
  const gates = new ServiceGates({ inFlight, counted, counters, pool, limits, sharedMs, system });
  const health = new HealthBook({
    recovered: (backend) => context.ejections.probedHealthy(backend),
  });
  const upkeep = new ServiceUpkeep({
    zone: settings.zone,
    nowMs,
    wheel,
    everyMs: limits.serviceUpkeepMs,
    gates,
    health,
  });
  const context: WorkerContext = {
    table: RouteTable.build(upkeep).finish(revisionZero),
    draining: false,
    leaving: false,
    io,
    limits,
    counters,
    connections: new ConnectionCounts(start.connections, start.slot),
    rates: new RateBuckets(start.rates),
    wheel,
    shortTimes: new ShortTimes(system, wheel),
    upkeep,
    pool,
    counted,
    gates,
    ejections: ejectionsOf(start, system, () => context),
    health,
    exchanges: new ExchangePool(() => context, limits.exchangesIdleMax),
    mirrors: new Mirrors(() => context),
    trusted: CidrSet.parse(settings.trustForwarded),
    prefaced: CidrSet.parse(settings.proxyProtocol, "proxy_protocol"),
    pages: settings.pages,
    via: settings.via === undefined ? undefined : new Via(settings.via),
    forwarded: settings.forwarded,
    sticky: new StickyCookie(settings.stickyKeys),
    requestIds: new RequestIds(),
    accessLog: accessLogOf(start, counters, clock),
    requestHead: requestHeads.current,
    requestHeads,
    knownAnswers: knownAnswers(limits),
    requestFacts: new HeadFacts(requestHeads),
    responseHead: new ResponseHead(limits),
    writer: new ByteWriter(writerBytes),
    random: () => system.random(),
    nowMs,
    sharedMs,
    wallMs: () => clock.wallMs(),
  };
  return context;
}

function ejectionsOf(
  { control }: WorkerStart,
  system: System,
  context: () => WorkerContext,
): Ejections {
  return new Ejections({
    table: () => context().table,
    nowMs: () => context().nowMs(),
    random: () => system.random(),
    tell(ejections) {
      const { counters } = context();
      for (const { forMs } of ejections) if (forMs > 0) counters[Counter.ejections]! += 1;
      control.postMessage({ kind: "ejected", ejections });
    },
  });
}

function accessLogOf(
  { control, logMemory }: WorkerStart,
  counters: Float64Array,
  system: TurnClock,
): AccessLog | undefined {
  if (logMemory === undefined) return undefined;
  return new AccessLog({
    pages: new LogPages(logMemory),
    counters,
    system,
    send: (page, length) => control.postMessage({ kind: "log", page, length }),
  });
}
