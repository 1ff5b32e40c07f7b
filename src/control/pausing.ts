// PauseService and ResumeService: a service's new requests wait, here and on every other node, until it goes on.
//
// The holding itself is the workers' (they know of it by the table). Here is written that it is so, and waited until
// nothing is in flight to its backends any more.

import type * as proto from "../gen/crosspoint/v1/router.ts";
import { pauseMsDefault, pauseQueueDefault } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import { parseServiceName, type ServiceName } from "../model/names.ts";
import { parsePause } from "../model/parse-service-options.ts";
import { type Revision, revisionZero } from "../model/revision.ts";
import type { Pause } from "../model/service-options.ts";
import type { Patience } from "./deadline.ts";
import { parseDurationMs } from "./duration.ts";
import type { OpenEverywhere, StillOpen } from "./open-everywhere.ts";
import { parseWait } from "./parse-request.ts";
import { renderLagging } from "./render.ts";
import type { TableSource } from "./table-source.ts";
import type { Writer } from "./writer.ts";

export interface PausingParts {
  readonly writer: Pick<Writer, "write">;
  readonly open: Pick<OpenEverywhere, "at" | "subscribe">;
  readonly source: Pick<TableSource, "table" | "subscribe">;
}

const unguarded = { ifRevision: revisionZero, validateOnly: false, requestId: "" } as const;

export async function pauseService(
  { writer, open, source }: PausingParts,
  request: proto.PauseServiceRequest,
  patience: Patience,
): Promise<proto.PauseServiceResponse> {
  const name = parseServiceName(request.service, "service");
  const pause = wishedPause(request);
  const { revision, lagging } = await writer.write(
    {
      drafts: [{ kind: "pause-service", name, pause, field: "service" }],
      ...unguarded,
      wait: "all",
    },
    patience,
  );
  const { inFlight, untold } = await untilQuiet({ open, source }, name, revision, patience.signal);
  const silent = untold
    .filter((node) => lagging.every((lag) => lag.node !== node))
    .map((node) => ({ node, servedRevision: revisionZero, reason: "has not told what is open" }));
  return {
    revision: BigInt(revision),
    inFlight,
    lagging: renderLagging([...lagging, ...silent]),
  };
}

export async function resumeService(
  { writer }: Pick<PausingParts, "writer">,
  request: proto.ResumeServiceRequest,
  patience: Patience,
): Promise<proto.ResumeServiceResponse> {
  const name = parseServiceName(request.service, "service");
  const { revision, lagging } = await writer.write(
    {
      drafts: [{ kind: "resume-service", name, field: "service" }],
      ...unguarded,
      wait: parseWait(request.wait),
    },
    patience,
  );
  return { revision: BigInt(revision), lagging: renderLagging(lagging) };
}

function wishedPause({ queue, queueTime }: proto.PauseServiceRequest): Pause {
  const queueMs =
    queueTime === undefined ? pauseMsDefault : parseDurationMs(queueTime, "queue_time");
  return parsePause({ queue: queue === 0 ? pauseQueueDefault : queue, queueMs, sinceMs: 0 }, "");
}

/**
 * What is in flight to the service's backends on all nodes: nothing, or what is left when `signal` aborts. Rejects
 * "failed-precondition" when the pause ends before: nobody must take the service for quiet then.
 */
async function untilQuiet(
  { open, source }: Pick<PausingParts, "open" | "source">,
  service: ServiceName,
  since: Revision,
  signal: AbortSignal,
): Promise<StillOpen> {
  const place = { service, address: "" };
  const done = Promise.withResolvers<StillOpen>();
  const look = (): void => {
    const { table } = source;
    if (table.revision >= since && table.service(service)?.options?.pause === undefined) {
      return done.reject(resumedBefore(service));
    }
    const left = open.at(place, since);
    if (signal.aborted || (left.inFlight === 0 && left.untold.length === 0)) done.resolve(left);
  };
  const ends = [open.subscribe(look), source.subscribe(look)];
  signal.addEventListener("abort", look);
  look();
  try {
    return await done.promise;
  } finally {
    for (const end of ends) end();
    signal.removeEventListener("abort", look);
  }
}

function resumedBefore(service: ServiceName): RouterError {
  return new RouterError(
    "failed-precondition",
    `service "${service}" was resumed by another call before nothing was in flight any more`,
    { reason: "RESUMED_BEFORE_QUIET" },
  );
}
