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
}

/** At least one client, however little there is: a node that refuses everybody tells nobody why. */
export function connectionBudget(descriptors: number, workers: number): ConnectionBudget {
  if (descriptors === unlimited) return { connectionsPerNodeMax: unlimited, upstreamIdleMax };
  const reserved = Math.max(
    descriptorsReservedMin,
    Math.ceil(descriptors / descriptorsReservedShare),
  );
  const free = Math.max(2, descriptors - reserved);
  const idle = Math.min(
    upstreamIdleMax,
    Math.floor(free / descriptorsIdleShare / Math.max(1, workers)),
  );
  return {
    connectionsPerNodeMax: Math.max(1, Math.floor((free - idle * workers) / 2)),
    upstreamIdleMax: idle,
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
