// Puts together what the sessions of one worker share.

import type { WorkerStart } from "../channel/messages.ts";
import { NetIo } from "../io/net/net-io.ts";
import * as limits from "../limits.ts";
import { revisionZero } from "../model/revision.ts";
import { RequestHead } from "../protocol/request-head.ts";
import { ResponseHead } from "../protocol/response-head.ts";
import { CidrSet } from "../routing/cidr.ts";
import { RouteTable } from "../routing/route-table.ts";
import { realSystem } from "../system.ts";
import { AccessLog } from "../telemetry/access-log.ts";
import { countersIn } from "../telemetry/counters.ts";
import { ByteWriter } from "./byte-writer.ts";
import type { SessionLimits, WorkerContext } from "./context.ts";
import { RequestIds } from "./request-ids.ts";
import { StickyCookie } from "./sticky-cookie.ts";
import { TimerWheel } from "./timer-wheel.ts";
import { UpstreamPool } from "./upstream-pool.ts";

/** Heads, small bodies and a chunk's edges; grows once if a head needs more. */
const writerBytes = 64 * 1024;

/** @param bounds Other limits than those of limits.ts: for tests. */
export function makeContext(start: WorkerStart, bounds: SessionLimits = limits): WorkerContext {
  const { settings } = start;
  const counters = countersIn(start.counters);
  const accessLog = settings.accessLog
    ? new AccessLog({
        counters,
        system: realSystem,
        send: (lines) => start.control.postMessage({ kind: "log", lines }, [lines.buffer]),
      })
    : undefined;
  const context: WorkerContext = {
    table: RouteTable.build().finish(revisionZero),
    draining: false,
    io: new NetIo({
      after: (delayMs, action) => realSystem.after(delayMs, action),
      receiveBytes: limits.receiveBytes,
      sendQueueBytesHigh: limits.sendQueueBytesHigh,
    }),
    limits: bounds,
    counters,
    wheel: new TimerWheel({ tickMs: limits.timerTickMs, nowMs: performance.now() }),
    pool: new UpstreamPool(() => context),
    trusted: CidrSet.parse(settings.trustForwarded),
    sticky: new StickyCookie(settings.stickyKey),
    requestIds: new RequestIds(),
    accessLog,
    requestHead: new RequestHead(limits),
    responseHead: new ResponseHead(limits),
    writer: new ByteWriter(writerBytes),
    random: () => realSystem.random(),
    nowMs: () => realSystem.monotonicMs(),
    wallMs: () => realSystem.wallMs(),
  };
  return context;
}
