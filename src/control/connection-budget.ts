// How many connections the file descriptors of this process allow: a client takes one, and one more
// towards its backend. HAProxy derives its maxconn the same way.
//
// Whoever runs out of descriptors cannot accept, dial or open a file any more, for anybody. So clients
// are counted instead, and an idle one makes room.

import { readFileSync } from "node:fs";
import type { LimitOverrides } from "../channel/messages.ts";
import {
  descriptorsIdleShare,
  descriptorsReservedMin,
  descriptorsReservedShare,
  descriptorsUnknown,
  pipesMax,
  unlimited,
  upstreamIdleMax,
} from "../limits.ts";
import type { Log } from "../telemetry/log-port.ts";

/** RLIMIT_NOFILE of this process, which Node raises to the hard limit when it starts. */
export function descriptorsMax(readLimits: () => string = readOwnLimits): number {
  try {
    const [, soft = ""] = /^Max open files\s+(\d+|unlimited)\s/m.exec(readLimits()) ?? [];
    if (soft === "unlimited") return unlimited;
    return soft === "" ? descriptorsUnknown : Number(soft);
  } catch {
    return descriptorsUnknown;
  }
}

function readOwnLimits(): string {
  return readFileSync("/proc/self/limits", "utf8");
}

export interface ConnectionBudget {
  readonly connectionsPerNodeMax: number;
  /** Of one worker. */
  readonly upstreamIdleMax: number;
  /** Of one worker, two descriptors each. */
  readonly pipesMax: number;
}

/** Of what a worker has for idle connections, pipes get one in so many. */
const pipesShare = 8;

/** At least one client, however little there is: a node that refuses everybody tells nobody why. */
export function connectionBudget(descriptors: number, workers: number): ConnectionBudget {
  if (descriptors === unlimited) {
    return { connectionsPerNodeMax: unlimited, upstreamIdleMax, pipesMax };
  }
  const reserved = Math.max(
    descriptorsReservedMin,
    Math.ceil(descriptors / descriptorsReservedShare),
  );
  const free = Math.max(2, descriptors - reserved);
  const share = Math.floor(free / descriptorsIdleShare / Math.max(1, workers));
  const pipes = Math.min(pipesMax, Math.floor(share / pipesShare / 2));
  const idle = Math.min(upstreamIdleMax, share - 2 * pipes);
  return {
    connectionsPerNodeMax: Math.max(1, Math.floor((free - (idle + 2 * pipes) * workers) / 2)),
    upstreamIdleMax: idle,
    pipesMax: pipes,
  };
}

/** The limits of the settings, and of those on connections what the descriptors allow. */
export function limitsWithin(
  descriptors: number,
  { limits, workers }: { readonly limits: LimitOverrides; readonly workers: number },
  log: Log,
): LimitOverrides {
  const budget = connectionBudget(descriptors, workers);
  const { connectionsPerNodeMax = unlimited } = limits;
  if (connectionsPerNodeMax === unlimited) return { ...limits, ...budget };
  const enoughFor = budget.connectionsPerNodeMax;
  if (connectionsPerNodeMax > enoughFor) {
    log.warn("more connections are allowed than file descriptors suffice for: raise LimitNOFILE", {
      connectionsPerNode: connectionsPerNodeMax,
      descriptors,
      enoughFor,
    });
  }
  return { ...budget, ...limits };
}
