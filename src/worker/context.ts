// What every session of one worker shares: the table, the counters, the clock and the reused buffers.
// One per worker; made by worker-loop.ts.

import type { ConnectionCounts } from "../channel/connection-counts.ts";
import type { RateBuckets } from "../channel/rate-buckets.ts";
import type { Io } from "../io/io.ts";
import type { CidrSet } from "../model/cidr.ts";
import type { Page } from "../model/route-options.ts";
import type { TrailerLimits } from "../protocol/chunked.ts";
import type { HeadMemory } from "../protocol/head-memory.ts";
import type { RequestHead } from "../protocol/request-head.ts";
import type { ResponseHead } from "../protocol/response-head.ts";
import type { RequestFacts } from "../routing/request-facts.ts";
import type { RouteTable } from "../routing/route-table.ts";
import type { AccessLog } from "../telemetry/access-log.ts";
import type { ByteWriter } from "./byte-writer.ts";
import type { CountedConnections } from "./counted-connections.ts";
import type { Ejections } from "./ejections.ts";
import type { ExchangePool } from "./exchange-pool.ts";
import type { HealthBook } from "./health-book.ts";
import type { KnownAnswer, RequestHeads } from "./known-heads.ts";
import type { Mirrors } from "./mirrors.ts";
import type { RequestIds } from "./request-ids.ts";
import type { ServiceGates } from "./service-gates.ts";
import type { ServiceUpkeep } from "./service-upkeep.ts";
import type { ShortTimes } from "./short-times.ts";
import type { StickyCookie } from "./sticky-cookie.ts";
import type { TimerWheel } from "./timer-wheel.ts";
import type { UpstreamPool } from "./upstream-pool.ts";
import type { Via } from "./via.ts";

/** Bounds that sessions keep; values and sources in limits.ts. Bytes and ms. */
export interface SessionLimits extends TrailerLimits {
  readonly headBytesMax: number;
  readonly bodyBytesMax: number;
  readonly bodyRateMin: number;
  readonly bodyRateGraceMs: number;
  readonly bodyRateLookMs: number;
  readonly requestMsMax: number;
  readonly requestsPerConnectionMax: number;
  readonly connectionsPerNodeMax: number;
  readonly connectionsPerListenerMax: number;
  readonly connectionsPerAddressMax: number;
  readonly upgradedConnectionsMax: number;
  readonly upstreamIdleMax: number;
  readonly requestHeadMsMax: number;
  readonly prefaceMsMax: number;
  readonly prefaceBytesMax: number;
  readonly downstreamIdleMsMax: number;
  readonly bodyIdleMsMax: number;
  readonly responseHeadMsMax: number;
  readonly connectMsMax: number;
  readonly connectTriesMax: number;
  readonly replayBodyBytesMax: number;
  readonly retriesMax: number;
  readonly retryFreshAnswers: number;
  readonly retryReusedAnswers: number;
  readonly retryReserveAnswers: number;
  readonly retryAnswersMax: number;
  readonly unrepeatableIdleMsMax: number;
  readonly interimAnswersMax: number;
  readonly upstreamIdleMsMax: number;
  readonly upstreamIdlePerBackendMax: number;
  readonly exchangesIdleMax: number;
  readonly tunnelIdleMsMax: number;
  readonly tunnelHalfClosedMsMax: number;
  readonly clientEndedMsMax: number;
  readonly viaNamedMax: number;
  readonly lingerMsMax: number;
  readonly firstRequestMsMax: number;
  readonly sendQueueBytesHigh: number;
  readonly mirrorBodyBytesMax: number;
  readonly mirrorsInFlightMax: number;
  readonly mirrorMsMax: number;
}

export interface WorkerContext {
  /** The whole view of the world is this one reference; a request reads it once. */
  table: RouteTable;
  draining: boolean;
  /** Answers say that the connection ends; true from before `draining` on. */
  leaving: boolean;
  readonly io: Io;
  readonly limits: SessionLimits;
  readonly counters: Float64Array;
  /** Of all workers together. */
  readonly connections: ConnectionCounts;
  /** What routes have let in, of all workers together. */
  readonly rates: RateBuckets;
  readonly wheel: TimerWheel;
  readonly shortTimes: ShortTimes;
  /** Watches the services of every table. */
  readonly upkeep: ServiceUpkeep;
  /** Hears of every failure of a backend. */
  readonly ejections: Ejections;
  readonly health: HealthBook;
  readonly pool: UpstreamPool;
  /** Open connections to addresses where their number is limited. */
  readonly counted: CountedConnections;
  /** In front of services with limits, or paused ones. */
  readonly gates: ServiceGates;
  readonly exchanges: ExchangePool;
  readonly mirrors: Mirrors;
  readonly trusted: CidrSet;
  /** Whose connections begin with a PROXY protocol preface. */
  readonly prefaced: CidrSet;
  /** What stands in for the router's own words, by status. */
  readonly pages: readonly Page[];
  /** What we call ourselves in Via; undefined: we write none. */
  readonly via: Via | undefined;
  /** Requests get Forwarded beside X-Forwarded-*. */
  readonly forwarded: boolean;
  readonly sticky: StickyCookie;
  readonly requestIds: RequestIds;
  /** undefined: no access log. */
  readonly accessLog: AccessLog | undefined;
  /** Of the request that was read last, until the next one is: `requestHeads.current`. */
  requestHead: RequestHead;
  readonly requestHeads: RequestHeads;
  readonly knownAnswers: HeadMemory<KnownAnswer>;
  /** Of `requestHead`, for the conditions of routes. */
  readonly requestFacts: RequestFacts;
  /** Reused by every answer. */
  readonly responseHead: ResponseHead;
  /** Reused for everything that is sent: flushed before the call that fills it returns. */
  readonly writer: ByteWriter;
  readonly random: () => number;
  /** ms, monotonic; for durations. */
  readonly nowMs: () => number;
  /** ms on a clock that all workers share; for rates. */
  readonly sharedMs: () => number;
  /** ms since the epoch. */
  readonly wallMs: () => number;
}
