// Goal: what was sent is kept for as long as it may be sent again and no longer; what could not be sent again goes
// over no connection that may be closing.
// Method: recorded streams and a clock in the test's hand.

import { describe, expect, test } from "vitest";
import { parseRevision } from "../../src/model/revision.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import { HttpSession } from "../../src/worker/http-session.ts";
import { Sessions } from "../../src/worker/sessions.ts";
import { UpstreamConnection } from "../../src/worker/upstream-connection.ts";
import { okAnswer } from "../support/peer.ts";
import { recordingContext } from "../support/recording-context.ts";
import { RecordingStream } from "../support/recording-stream.ts";
import { backendOf, putRoute } from "../support/table-fixtures.ts";

const get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const withBody = (method: string, body: string): string =>
  `${method} / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const chunkedPut =
  "PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";

describe("what was sent", () => {
  /** A session on recorded streams, behind which there are these backends. */
  function recorded(request: string, addresses = ["10.0.0.1:80", "10.0.0.2:80"]) {
    const recording = recordingContext();
    const { context } = recording;
    const builder = RouteTable.build();
    const backends = addresses.map((address) => ({
      kind: "backend-put" as const,
      backend: backendOf("web", address),
    }));
    builder.add([putRoute("all", "*"), ...backends]);
    context.table = builder.finish(parseRevision(1));
    const stream = new RecordingStream();
    const session = new HttpSession(context, new Sessions(context.counters), stream);
    stream.receive(request);
    const upstream = recording.dialled[0]!;
    const { events } = upstream;
    if (!(events instanceof UpstreamConnection)) throw new Error("nobody was dialled");
    return { ...recording, session, stream, upstream, connection: events };
  }

  test.for([
    ["GET", get, true],
    ["PUT", withBody("PUT", "x".repeat(9_000)), true],
    ["POST", withBody("POST", "x".repeat(9_000)), false],
    ["a chunked PUT", chunkedPut, false],
  ] as const)("of %s is kept until the answer begins, or not at all", ([, request, isKept]) => {
    const { upstream, connection } = recorded(request);
    connection.onConnect();
    expect(connection.savedLength).toBe(isKept ? upstream.text.length : 0);
    upstream.receive("HTTP/1.1 1");
    expect(connection.savedLength).toBe(0);
    expect(connection.saved.length).toBeLessThanOrEqual(2_048);
  });

  test("is not kept any more when the body follows an interim answer", () => {
    const body = "x".repeat(9_000);
    const request = withBody("PUT", body).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    const { upstream, connection, stream, dialled } = recorded(request.slice(0, -body.length));
    connection.onConnect();
    upstream.receive("HTTP/1.1 100 Continue\r\n\r\n");
    stream.receive(body);
    expect(upstream.text.endsWith(body)).toBe(true);
    expect(connection.savedLength).toBe(0);
    connection.onClose("reset", "ECONNRESET");
    expect(dialled.length).toBe(1);
    expect(stream.text).toContain("HTTP/1.1 502 ");
  });

  test.for([
    ["GET", get, 1],
    ["POST", withBody("POST", "body"), 2],
    ["a chunked PUT", chunkedPut, 2],
  ] as const)(
    "of %s goes over an old connection only if it can be repeated",
    ([, request, dials]) => {
      const { connection, upstream, stream, dialled, pass } = recorded(get, ["10.0.0.1:80"]);
      connection.onConnect();
      upstream.receive(okAnswer("ok"));
      pass(900);
      stream.receive(request);
      expect(dialled.length).toBe(1);
      upstream.receive(okAnswer("ok"));
      pass(1_500);
      stream.receive(request);
      expect(dialled.length).toBe(dials);
    },
  );
});
