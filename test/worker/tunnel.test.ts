// Goal: a tunnel passes on what each side does: bytes, half-close, reset, slowness; and ends once.
// Method: two recorded streams, events given by hand.

import { describe, expect, test } from "vitest";
import type { RelayEvents, Stream } from "../../src/io/stream.ts";
import { sendQueueBytesHigh } from "../../src/limits.ts";
import type { TcpSettings } from "../../src/model/service-options.ts";
import { Tunnel, type TunnelOwner } from "../../src/worker/tunnel.ts";
import { recordingContext } from "../support/recording-context.ts";
import { RecordingStream } from "../support/recording-stream.ts";

function made(own: Parameters<typeof recordingContext>[0] = {}, settings?: TcpSettings) {
  const recording = recordingContext(own);
  const client = new RecordingStream();
  const upstream = new RecordingStream();
  const ends: (readonly [number, number])[] = [];
  const owner: TunnelOwner = {
    onTunnelEnd: (fromClient, toClient) => ends.push([fromClient, toClient]),
  };
  const tunnel = new Tunnel(recording.context, { client, upstream }, owner, settings);
  return { ...recording, client, upstream, ends, tunnel };
}

describe("a tunnel", () => {
  test("carries and counts bytes both ways", () => {
    const { client, upstream, counter, tunnel, ends } = made();
    client.receive("hello");
    upstream.receive("hi");
    expect([upstream.text, client.text]).toEqual(["hello", "hi"]);
    expect([counter("bytesFromClients"), counter("bytesToClients")]).toEqual([5, 2]);
    tunnel.destroy();
    expect(ends).toEqual([[5, 2]]);
  });

  test("hands on what came before, in order", () => {
    const { client, upstream, tunnel } = made();
    const early = Buffer.from("early");
    tunnel.fromClient(early, 0, 5);
    tunnel.fromUpstream(early, 1, 4);
    tunnel.fromClient(early, 2, 2);
    client.receive(" late");
    expect([upstream.text, client.text]).toEqual(["early late", "arl"]);
    expect(upstream.writes.length).toBe(2);
  });

  describe("leaves bulk to streams that can relay", () => {
    /** As large as the buffer it came in. */
    const full = "x".repeat(64 * 1024);

    function relaying() {
      const world = made({ tunnelIdleMsMax: 1_000 });
      const calls: string[] = [];
      const { client, upstream } = world;
      const relay = { told: undefined as RelayEvents | undefined };
      Object.assign(client, {
        relayTo(target: Stream, told: RelayEvents): boolean {
          calls.push(target === upstream ? "relay" : "relay to whom?");
          relay.told = told;
          return true;
        },
        stopRelay: () => calls.push("stop"),
      });
      return { ...world, calls, relay };
    }

    test("after two reads in a row that were full", () => {
      const { client, upstream, calls } = relaying();
      const buffer = Buffer.alloc(64 * 1024);
      client.receive(full);
      client.events.onData(buffer, 0, buffer.length - 1);
      client.receive(full);
      expect(calls).toEqual([]);
      client.receive(full);
      expect(calls).toEqual(["relay"]);
      expect(upstream.text.length).toBe(4 * full.length - 1);
    });

    test("counts what passes, and time begins anew with it", () => {
      const { client, relay, counter, ends, pass } = relaying();
      client.receive(full);
      client.receive(full);
      for (let i = 0; i < 3; i++) {
        pass(800);
        relay.told?.onRelayed(100_000);
      }
      expect(counter("bytesFromClients")).toBe(2 * full.length + 300_000);
      expect(ends).toEqual([]);
      pass(2_000);
      expect(ends).toEqual([[2 * full.length + 300_000, 0]]);
    });

    test("until four small pieces came in a row", () => {
      const { client, relay, calls } = relaying();
      client.receive(full);
      client.receive(full);
      for (const bytes of [1, 1, 1, 100_000, 1, 16_383, 1]) relay.told?.onRelayed(bytes);
      expect(calls).toEqual(["relay"]);
      relay.told?.onRelayed(1);
      expect(calls).toEqual(["relay", "stop"]);
      client.receive(full);
      client.receive(full);
      expect(calls).toEqual(["relay", "stop", "relay"]);
    });
  });

  test("passes a half-close on and ends when both sides are closed", () => {
    const { client, upstream, ends } = made();
    client.events.onEnd();
    expect([client.calls, upstream.calls]).toEqual([[], ["end"]]);
    upstream.receive("answer");
    expect(client.text).toBe("answer");
    upstream.events.onEnd();
    expect(client.calls).toEqual(["end"]);
    client.events.onClose("finished", "");
    expect(ends).toEqual([]);
    upstream.events.onClose("finished", "");
    expect(ends).toEqual([[0, 6]]);
  });

  test.for(["client", "upstream"] as const)("passes a reset of the %s on, once", (side) => {
    const { client, upstream, ends } = made();
    const [broken, other] = side === "client" ? [client, upstream] : [upstream, client];
    broken.events.onClose("reset", "ECONNRESET");
    expect(other.calls).toEqual(["reset"]);
    other.events.onClose("finished", "");
    expect(ends.length).toBe(1);
  });

  test.for(["client", "upstream"] as const)(
    "stops the other side while the %s does not read",
    (side) => {
      const { client, upstream } = made();
      const [reader, writer] = side === "client" ? [client, upstream] : [upstream, client];
      reader.stuck = true;
      writer.receive("x".repeat(sendQueueBytesHigh));
      expect(writer.paused).toBe(false);
      writer.receive("x");
      expect(writer.paused).toBe(true);
      expect(reader.paused).toBe(false);
      reader.drain();
      expect(writer.paused).toBe(false);
    },
  );

  test("silent for too long is cut; a byte either way begins the time anew", () => {
    const { client, upstream, ends, pass } = made({ tunnelIdleMsMax: 1_000 });
    for (const stream of [client, upstream, client]) {
      pass(800);
      stream.receive("x");
    }
    expect(ends).toEqual([]);
    pass(2_000);
    expect(ends).toEqual([[2, 1]]);
    expect([client.calls, upstream.calls]).toEqual([["reset"], ["reset"]]);
  });

  test("one side closed in order: the other has a bounded time for the rest", () => {
    const { client, upstream, ends, pass } = made({ bodyIdleMsMax: 500 });
    client.events.onEnd();
    client.events.onClose("finished", "");
    expect(upstream.calls.at(-1)).toBe("end");
    pass(2_000);
    expect(ends.length).toBe(1);
    // It was told the end: what the kernel still holds for it gets there.
    expect(upstream.calls.at(-1)).toBe("destroy");
  });

  describe("half-closed", () => {
    const limits = { tunnelIdleMsMax: 10_000, tunnelHalfClosedMsMax: 1_000 };

    test("has a shorter time without bytes, which each byte begins anew", () => {
      const { client, upstream, ends, pass } = made(limits);
      pass(5_000);
      client.events.onEnd();
      for (let i = 0; i < 5; i++) {
        pass(800);
        upstream.receive("x");
      }
      expect([client.text, ends]).toEqual(["xxxxx", []]);
      pass(1_300);
      expect(ends).toEqual([[0, 5]]);
    });

    test.for(["client", "upstream"] as const)(
      "by the %s: who was not told the end is reset",
      (side) => {
        const { client, upstream, pass } = made(limits);
        const [ended, other] = side === "client" ? [client, upstream] : [upstream, client];
        ended.events.onEnd();
        pass(1_300);
        expect([ended.calls, other.calls]).toEqual([["reset"], ["end", "destroy"]]);
      },
    );

    test("by the backend while the client reads slowly: gets the rest as long as it takes some", () => {
      const { client, upstream, ends, pass } = made(limits);
      client.stuck = true;
      upstream.receive("x".repeat(50_000));
      upstream.events.onEnd();
      for (const left of [40_000, 20_000, 10_000]) {
        client.queuedBytes = left;
        pass(1_300);
      }
      expect(ends).toEqual([]);
      pass(1_300);
      expect(ends.length).toBe(1);
      // What is lost must look so.
      expect(client.calls).toEqual(["end", "reset"]);
    });

    test("counts what is queued anew behind a byte", () => {
      const { client, upstream, ends, pass } = made(limits);
      upstream.events.onEnd();
      upstream.queuedBytes = 100;
      pass(1_300);
      client.receive("more");
      upstream.queuedBytes = 5_000;
      pass(1_300);
      expect(ends).toEqual([]);
      pass(1_300);
      expect(ends.length).toBe(1);
    });
  });

  describe("with settings of its service", () => {
    const limits = { tunnelIdleMsMax: 10_000, tunnelHalfClosedMsMax: 8_000 };

    test("is silent for no longer than they say, and names them", () => {
      const { ends, tunnel, counter, limited, pass } = made(limits, { idleMs: 1_000 });
      expect(counter("upstreamOpen")).toBe(0);
      pass(1_300);
      expect(ends.length).toBe(1);
      expect(tunnel.cutBy).toBe("idle: idle_time of the service");
      expect(limited("tunnel-idle-time")).toBe(1);
    });

    test("waits once half-closed as long as they say", () => {
      const { client, ends, tunnel, pass } = made(limits, { halfClosedMs: 1_000 });
      pass(5_000);
      client.events.onEnd();
      pass(1_300);
      expect([ends.length, tunnel.cutBy]).toEqual([1, "idle: half_closed_time of the service"]);
    });

    test("keeps the node's where they say nothing", () => {
      const { client, ends, tunnel, pass } = made(limits, { connectMs: 5 });
      pass(9_000);
      client.events.onEnd();
      pass(7_000);
      expect(ends).toEqual([]);
      pass(1_300);
      expect(tunnel.cutBy).toBe("idle: limit tunnel-half-closed-time");
    });

    test("has both sides asked whether they are there, and else neither", () => {
      const asked = made({}, { keepaliveMs: 30_000 });
      expect([asked.client.calls, asked.upstream.calls]).toEqual([
        ["keepalive 30000"],
        ["keepalive 30000"],
      ]);
      const silent = made({}, { idleMs: 5 });
      expect([silent.client.calls, silent.upstream.calls]).toEqual([[], []]);
    });
  });

  test("that is over does nothing more when its time comes", () => {
    const { ends, tunnel, client, pass } = made({ tunnelIdleMsMax: 1_000 });
    tunnel.destroy();
    tunnel.destroy();
    pass(3_000);
    expect(ends.length).toBe(1);
    expect(client.calls.length).toBe(2);
  });
});
