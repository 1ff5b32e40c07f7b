// One HTTP session on recorded streams whose route says something of tries, in front of several backends.

import type { WorkerSettings } from "../../src/channel/messages.ts";
import type { Retry, RouteOptions } from "../../src/model/route-options.ts";
import type { BackendState } from "../../src/routing/backend-state.ts";
import type { WorkerLimits } from "../../src/worker/make-context.ts";
import { type RecordedSession, recordedSession } from "./recorded-session.ts";
import type { RecordingStream } from "./recording-stream.ts";
import { backendOf, routeOf } from "./table-fixtures.ts";

export interface TriedOptions {
  readonly retry?: Retry;
  readonly timeoutMs?: number;
  /** Backends; 10.0.0.1:80 and so on. */
  readonly count?: number;
  readonly sticky?: boolean;
  readonly limits?: Partial<WorkerLimits>;
  readonly settings?: Partial<WorkerSettings>;
}

export interface TriedSession extends RecordedSession {
  readonly backends: readonly BackendState[];
  /** The backend of this connection. */
  readonly backendOf: (stream: RecordingStream & { readonly to?: string }) => BackendState;
  /** So many milliseconds pass; not in ticks of a tenth of a second. */
  readonly wait: (ms: number) => void;
  /** What all backends have under way. */
  readonly inFlight: () => number;
}

export function triedSession(options: TriedOptions = {}): TriedSession {
  const { retry, timeoutMs, count = 2, sticky = false, limits, settings } = options;
  const routeOptions: RouteOptions = {
    ...(retry === undefined ? {} : { retry }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
  const session = recordedSession(limits, settings, [
    { kind: "route-put", route: { ...routeOf("all", "*"), sticky, options: routeOptions } },
    ...Array.from({ length: count }, (_, i) => ({
      kind: "backend-put" as const,
      backend: backendOf("web", `10.0.0.${i + 1}:80`),
    })),
  ]);
  const backends = session.context.table.service("web")!.backends;
  return {
    ...session,
    backends,
    backendOf: ({ to }) => backends.find(({ address }) => address === to)!,
    wait: (ms) => session.system.advance(ms),
    inFlight: () => backends.reduce((sum, backend) => sum + backend.inFlight, 0),
  };
}
