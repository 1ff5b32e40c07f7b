// Goal: a gRPC probe tells the truth about its backend, whether that speaks gRPC, HTTP/2 or something else.
// Method: real sockets beside every adapter's loop; servers of Node's HTTP/2, and raw bytes.

import { describe, expect, test } from "vitest";
import { adapters } from "../support/adapters.ts";
import {
  answering,
  flooding,
  grpcBackend,
  probedBackend,
  serving,
} from "../support/probed-backend.ts";
import { grpc, timeOf, verdictOf } from "../support/prober-world.ts";
import { until } from "../support/until.ts";

describe.for(adapters)("over $name,", (adapter) => {
  test.for([
    [1, "healthy: SERVING"],
    [2, "unhealthy: NOT_SERVING"],
    [3, "unhealthy: SERVICE_UNKNOWN"],
    [9, "unhealthy: status 9"],
  ] as const)("a gRPC backend whose status is %i", async ([status, says]) => {
    const requests: Buffer[] = [];
    const { address } = await grpcBackend((stream, request) => {
      requests.push(request);
      serving(status)(stream);
    });
    expect(await verdictOf(adapter, address, grpc("shop"))).toBe(says);
    expect(requests[0]?.toString("hex")).toBe("00000000060a0473686f70");
  });

  test("a gRPC backend without the health service", async () => {
    const { address } = await grpcBackend((stream) => {
      stream.respond({ ":status": 200, "grpc-status": "12" }, { endStream: true });
    });
    expect(await verdictOf(adapter, address, grpc())).toBe("unhealthy: UNIMPLEMENTED");
  });

  test("an HTTP/2 backend that is no gRPC server", async () => {
    const { address } = await grpcBackend((stream) => {
      stream.respond({ ":status": 404 }, { endStream: true });
    });
    expect(await verdictOf(adapter, address, grpc())).toBe("unhealthy: HTTP/2, but status 404");
  });

  test("a gRPC backend that floods", async () => {
    const { address } = await grpcBackend((stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      const send = (): void => {
        while (!stream.destroyed && stream.write(Buffer.alloc(16_384)));
      };
      stream.on("drain", send);
      send();
    });
    expect(await verdictOf(adapter, address, grpc())).toBe(
      "unhealthy: more than 64 KiB without an end",
    );
  });

  test("a gRPC backend that never answers", async () => {
    const { address } = await grpcBackend(() => {});
    expect(await verdictOf(adapter, address, grpc(), 250)).toBe(
      "unhealthy: no answer within 250 ms",
    );
  });

  test.for([
    [
      "answers in HTTP/1.1",
      answering("HTTP/1.1 400 Bad Request\r\n\r\n"),
      /^unhealthy: not HTTP\/2: /,
    ],
    [
      "floods garbage",
      flooding("\0", "\u0001garbage"),
      /^unhealthy: (not HTTP\/2: |HTTP\/2 GOAWAY)/,
    ],
    ["says nothing", () => {}, /^unhealthy: no answer within 250 ms$/],
    [
      "resets",
      (socket) => socket.once("data", () => socket.resetAndDestroy()),
      /^unhealthy: connection reset before its answer$/,
    ],
    [
      "leaves",
      (socket) => socket.once("data", () => socket.end()),
      /^unhealthy: closed without an answer$/,
    ],
  ] as const satisfies readonly (readonly [string, Parameters<typeof probedBackend>[0], RegExp])[])(
    "a backend asked for gRPC that %s",
    async ([, behave, says]) => {
      const backend = await probedBackend(behave);
      expect(await verdictOf(adapter, backend.address, grpc(), timeOf(says.source))).toMatch(says);
      await until(() => backend.ends[0] !== "", "the probe's connection to end");
    },
  );
});
