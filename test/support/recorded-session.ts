// One HTTP session on recorded streams, with a route to one backend and a clock in the test's hand.

import type { WorkerSettings } from "../../src/channel/messages.ts";
import type { Change } from "../../src/model/change.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import { HttpSession } from "../../src/worker/http-session.ts";
import type { WorkerLimits } from "../../src/worker/make-context.ts";
import { Sessions } from "../../src/worker/sessions.ts";
import { type Recording, recordingContext } from "./recording-context.ts";
import { RecordingStream } from "./recording-stream.ts";
import { backendOf, putRoute } from "./table-fixtures.ts";

export interface RecordedSession extends Recording {
  /** The client's connection. */
  readonly stream: RecordingStream;
  readonly sessions: Sessions;
  readonly session: HttpSession;
  /** The last connection to the backend. */
  readonly upstream: () => RecordingStream;
  /** That connection stands. */
  readonly connect: () => void;
  /** Status and reason of the router's own answer; "" before there is one. */
  readonly told: () => string;
}

/**
 * @param own What differs from limits.ts.
 * @param settings What differs from a worker's own defaults.
 * @param changes Of the table, on top of the route to one backend.
 */
export function recordedSession(
  own: Partial<WorkerLimits> = {},
  settings: Partial<WorkerSettings> = {},
  changes: readonly Change[] = [],
): RecordedSession {
  const recording = recordingContext(own, settings);
  const { context } = recording;
  const builder = RouteTable.build();
  builder.add([
    putRoute("all", "*"),
    putRoute("tcp", 8080),
    { kind: "backend-put", backend: backendOf("web", "10.0.0.1:80") },
    ...changes,
  ]);
  context.table = builder.finish(parseRevision(1));
  const stream = new RecordingStream();
  const sessions = new Sessions(context.counters);
  const session = new HttpSession(context, sessions, stream);
  const upstream = (): RecordingStream => recording.dialled.at(-1)!;
  const connect = (): void => upstream().events.onConnect();
  const told = (): string => {
    const [, status] = /^HTTP\/1\.1 (\d{3})/.exec(stream.text) ?? [];
    const [, reason] = /^X-Crosspoint-Reason: (.*)\r$/m.exec(stream.text) ?? [];
    return reason === undefined ? "" : `${status} ${reason}`;
  };
  return { ...recording, stream, sessions, session, upstream, connect, told };
}
