// Whether a client may come to a route: by its address, then by the rate of those who came before. Asked before
// anything else of the route is looked at, so that it holds for redirects and fixed answers as well.
//
// Knows what either answer counts. Does not know how a refusal is told to the client.

import { Taken } from "../channel/rate-buckets.ts";
import type { IpWords } from "../model/ip-address.ts";
import type { CompiledRoute } from "../routing/compiled-route.ts";
import { Counter } from "../telemetry/counters.ts";
import type { ClientIp } from "./client-ip.ts";
import type { WorkerContext } from "./context.ts";
import type { Reason } from "./local-answer.ts";

export interface Refused {
  readonly status: 403 | 429;
  readonly reason: Reason;
  /** How long until there is room, in ms; 0: waiting does not help. */
  readonly waitMs: number;
}

const denied: Refused = { status: 403, reason: "access-denied", waitMs: 0 };
const everybody: IpWords = [];

/** Whether a route asks who comes. */
export function isGuarded({ options }: CompiledRoute): boolean {
  return options?.access !== undefined || options?.rateLimit !== undefined;
}

/** Counts the request, or the connection, as one of the route's; undefined: it may come. */
export function refusedAt(
  { counters, rates, sharedMs }: Pick<WorkerContext, "counters" | "rates" | "sharedMs">,
  { name, access, options }: CompiledRoute,
  { words, known }: ClientIp,
): Refused | undefined {
  if (access !== undefined && !access.admits(words, known)) {
    counters[Counter.accessDenied]! += 1;
    return denied;
  }
  const limit = options?.rateLimit;
  if (limit === undefined) return undefined;
  const waitMs = rates.take(name, limit.key === "client" ? words : everybody, limit, sharedMs());
  if (waitMs === Taken.Uncounted) counters[Counter.rateUncounted]! += 1;
  if (waitMs <= 0) return undefined;
  counters[Counter.rateLimited]! += 1;
  return { status: 429, reason: "rate-limited", waitMs };
}
