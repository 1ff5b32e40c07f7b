// A client's connection on recorded streams, with one backend behind "*": a test says what each side does, and when.

import { parseRevision } from "../../src/model/revision.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import { HttpSession } from "../../src/worker/http-session.ts";
import type { WorkerLimits } from "../../src/worker/make-context.ts";
import { Sessions } from "../../src/worker/sessions.ts";
import { type Recording, recordingContext } from "./recording-context.ts";
import { RecordingStream } from "./recording-stream.ts";
import { backendOf, putRoute } from "./table-fixtures.ts";

export interface RecordedSession extends Recording {
  /** The client's. */
  readonly stream: RecordingStream;
  readonly session: HttpSession;
  /** The newest one to the backend. */
  readonly upstream: () => RecordingStream;
  /** The backend accepts. */
  readonly connect: () => void;
  /** Status and reason of the router's own answer; "" before there is one. */
  readonly told: () => string;
}

export function recordedSession(limits: Partial<WorkerLimits> = {}): RecordedSession {
  const recording = recordingContext(limits);
  const { context } = recording;
  const builder = RouteTable.build();
  const backend = backendOf("web", "10.0.0.1:80");
  builder.add([putRoute("all", "*"), { kind: "backend-put", backend }]);
  context.table = builder.finish(parseRevision(1));
  const stream = new RecordingStream();
  const session = new HttpSession(context, new Sessions(context.counters), stream);
  const upstream = (): RecordingStream => recording.dialled.at(-1)!;
  return {
    ...recording,
    stream,
    session,
    upstream,
    connect: () => upstream().events.onConnect(),
    told: () => {
      const [, status] = /^HTTP\/1\.1 (\d{3})/.exec(stream.text) ?? [];
      const [, reason] = /^X-Crosspoint-Reason: (.*)\r$/m.exec(stream.text) ?? [];
      return reason === undefined ? "" : `${status} ${reason}`;
    },
  };
}
