// Goal: a connection is either in use by one owner, or idle and listed once, or gone; the counters say
// which; and nothing that an idle connection does reaches a request.

import { describe, expect, test } from "vitest";
import type { CloseReason } from "../../src/io/stream.ts";
import { timerTickMs, unrepeatableIdleMsMax } from "../../src/limits.ts";
import { parseAddress } from "../../src/model/address.ts";
import { Endpoint } from "../../src/routing/backend-state.ts";
import type { UpstreamConnection, UpstreamOwner } from "../../src/worker/upstream-connection.ts";
import { recordingContext } from "../support/recording-context.ts";
import { SeededRandom } from "../support/seeded-random.ts";

class Owner implements UpstreamOwner {
  readonly seen: string[] = [];
  onUpstreamConnect(): void {
    this.seen.push("connect");
  }
  onUpstreamData(bytes: Uint8Array, start: number, end: number): void {
    this.seen.push(Buffer.from(bytes.subarray(start, end)).toString());
  }
  onUpstreamEnd(): void {
    this.seen.push("end");
  }
  onUpstreamWritable(): void {
    this.seen.push("writable");
  }
  onUpstreamClose(reason: CloseReason, message: string): void {
    this.seen.push(`close ${reason} ${message}`);
  }
}

function made(own: Parameters<typeof recordingContext>[0] = {}) {
  const recording = recordingContext(own);
  const endpoint = new Endpoint(parseAddress("10.0.0.1:80"));
  endpoint.users = 1;
  const { pool } = recording.context;
  const connected = (owner: UpstreamOwner = new Owner()): UpstreamConnection => {
    const connection = pool.dial(endpoint, owner);
    connection.onConnect();
    return connection;
  };
  const counts = (): string =>
    `open ${recording.counter("upstreamOpen")} idle ${recording.counter("upstreamIdle")}`;
  return { ...recording, pool, endpoint, connected, counts };
}

describe("a connection", () => {
  test("is dialled, used, given back, and taken again", () => {
    const { pool, endpoint, counts, dialled, counter } = made();
    const [first, second] = [new Owner(), new Owner()];
    const connection = pool.dial(endpoint, first);
    expect(dialled[0]?.to).toBe("10.0.0.1:80");
    expect(counts()).toBe("open 1 idle 0");
    connection.onConnect();
    expect(connection.reused).toBe(false);
    pool.release(connection, true);
    expect(counts()).toBe("open 1 idle 1");
    expect(pool.take(endpoint, second)).toBe(connection);
    expect(connection.reused).toBe(true);
    expect(counts()).toBe("open 1 idle 0");
    dialled[0]!.receive("answer");
    expect(first.seen).toEqual(["connect"]);
    expect(second.seen).toEqual(["answer"]);
    expect(counter("upstreamReused")).toBe(1);
    expect(pool.take(endpoint, second)).toBeUndefined();
  });

  test("that is not wanted, or nobody's any more, is closed", () => {
    for (const [wanted, users, draining] of [
      [false, 1, false],
      [true, 0, false],
      [true, 1, true],
    ] as const) {
      const { pool, endpoint, connected, counts, dialled, context } = made();
      const connection = connected();
      endpoint.users = users;
      context.draining = draining;
      pool.release(connection, wanted);
      expect(counts()).toBe("open 0 idle 0");
      expect(dialled[0]!.calls).toEqual(["destroy"]);
      expect(pool.take(endpoint, new Owner())).toBeUndefined();
    }
  });

  test("more than the most per backend are closed", () => {
    const { pool, connected, counts } = made({ upstreamIdlePerBackendMax: 2 });
    const three = [connected(), connected(), connected()];
    for (const connection of three) pool.release(connection, true);
    expect(counts()).toBe("open 2 idle 2");
  });

  test("more than the most of the worker are closed, whatever their backends", () => {
    const { pool, connected, counts } = made({ upstreamIdleMax: 2 });
    const three = [connected(), connected(), connected()];
    for (const connection of three) pool.release(connection, true);
    expect(counts()).toBe("open 2 idle 2");
  });

  test("that was used last is taken first; the others grow old and are closed", () => {
    const { pool, endpoint, connected, counts, pass } = made({ upstreamIdleMsMax: 1_000 });
    const [first, second] = [connected(), connected()];
    pool.release(first, true);
    pool.release(second, true);
    for (let i = 0; i < 5; i++) {
      pass(500);
      expect(pool.take(endpoint, new Owner())).toBe(second);
      pool.release(second, true);
    }
    expect(counts()).toBe("open 1 idle 1");
    pass(2_000);
    expect(counts()).toBe("open 0 idle 0");
  });

  test("that was idle for long is not for what cannot be repeated; the others may have it", () => {
    const { pool, endpoint, connected, pass } = made();
    const connection = connected();
    pool.release(connection, true);
    pass(unrepeatableIdleMsMax - timerTickMs);
    expect(pool.take(endpoint, new Owner(), undefined, false)).toBe(connection);
    pool.release(connection, true);
    pass(unrepeatableIdleMsMax + 3 * timerTickMs);
    expect(pool.take(endpoint, new Owner(), undefined, false)).toBeUndefined();
    expect(pool.take(endpoint, new Owner())).toBe(connection);
  });

  test.for([
    ["bytes", "reset"],
    ["end", "destroy"],
  ] as const)(
    "that gets %s while it is idle is closed, and nobody hears of it",
    ([event, call]) => {
      const { pool, endpoint, connected, counts, dialled } = made();
      const owner = new Owner();
      const connection = connected(owner);
      pool.release(connection, true);
      if (event === "bytes") dialled[0]!.receive("HTTP/1.1 200 OK\r\n\r\n");
      else connection.onEnd();
      expect(owner.seen).toEqual(["connect"]);
      expect(counts()).toBe("open 0 idle 0");
      expect(dialled[0]!.calls).toEqual([call]);
      expect(pool.take(endpoint, owner)).toBeUndefined();
    },
  );

  test("that breaks while it is idle is struck off, wherever it stands in the list", () => {
    for (const broken of [0, 1, 2]) {
      const { pool, endpoint, connected, counts } = made();
      const three = [connected(), connected(), connected()];
      for (const connection of three) pool.release(connection, true);
      three[broken]!.onClose("reset", "gone");
      expect(counts()).toBe("open 2 idle 2");
      const taken = [pool.take(endpoint, new Owner()), pool.take(endpoint, new Owner())];
      expect(taken).not.toContain(three[broken]);
      expect(new Set(taken).size).toBe(2);
      expect(pool.take(endpoint, new Owner())).toBeUndefined();
    }
  });

  test("that does not connect in time is given up, and its owner told once", () => {
    const { pool, endpoint, counts, dialled, pass } = made({ connectMsMax: 500 });
    const owner = new Owner();
    pool.dial(endpoint, owner);
    pass(2_000);
    expect(owner.seen).toEqual(["close unreachable no connection within 500 ms"]);
    expect(dialled[0]!.calls).toEqual(["reset"]);
    expect(counts()).toBe("open 0 idle 0");
  });

  test("that is connected has no time limit of its own while it is used", () => {
    const { connected, counts, pass } = made({ connectMsMax: 500, upstreamIdleMsMax: 500 });
    connected();
    pass(5_000);
    expect(counts()).toBe("open 1 idle 0");
  });

  test("that became a tunnel's is not ours to count any more", () => {
    const { connected, counts } = made();
    const connection = connected();
    connection.detach();
    connection.destroy(true);
    expect(counts()).toBe("open 1 idle 0");
  });

  test("keeps what it is told to, in order, and gives large buffers back", () => {
    const { pool, connected } = made();
    const connection = connected();
    const head = Buffer.from("head ");
    const body = Buffer.from("x".repeat(5_000));
    connection.save(head, head.length);
    connection.saveMore(body, 0, 3_000);
    connection.saveMore(body, 3_000, 5_000);
    const saved = Buffer.from(connection.saved.subarray(0, connection.savedLength)).toString();
    expect(saved).toBe(`head ${"x".repeat(5_000)}`);
    pool.release(connection, true);
    expect(connection.savedLength).toBe(0);
    expect(connection.saved.length).toBe(0);
  });
});

test("closing an address closes what is idle there and nothing else", () => {
  const { pool, endpoint, connected, counts } = made();
  const other = new Endpoint(parseAddress("10.0.0.2:80"));
  other.users = 1;
  const [busy, idle] = [connected(), connected()];
  pool.release(idle, true);
  const elsewhere = pool.dial(other, new Owner());
  elsewhere.onConnect();
  pool.release(elsewhere, true);
  pool.close(endpoint);
  expect(counts()).toBe("open 2 idle 1");
  expect(busy.connected).toBe(true);
  expect(pool.take(other, new Owner())).toBe(elsewhere);
});

test.for([1, 2, 3, 4])(
  "whatever happens in which order, the counters are right, seed %i",
  (seed) => {
    const random = new SeededRandom(seed);
    const { pool, endpoint, counter, pass } = made({ upstreamIdleMsMax: 1_000 });
    const dialling = new Set<UpstreamConnection>();
    const used = new Set<UpstreamConnection>();
    const idle = new Set<UpstreamConnection>();
    const any = (set: Set<UpstreamConnection>): UpstreamConnection | undefined =>
      set.size === 0 ? undefined : random.one([...set]);
    for (let i = 0; i < 3_000; i++) {
      const [dial, busy, free] = [any(dialling), any(used), any(idle)];
      switch (random.below(8)) {
        case 0:
          dialling.add(pool.dial(endpoint, new Owner()));
          break;
        case 1:
          if (dial === undefined) break;
          dialling.delete(dial);
          used.add(dial);
          dial.onConnect();
          break;
        case 2:
          if (dial === undefined) break;
          dialling.delete(dial);
          dial.onClose("refused", "");
          break;
        case 3:
          if (busy === undefined) break;
          used.delete(busy);
          if (random.chance(0.3)) pool.release(busy, false);
          else {
            pool.release(busy, true);
            idle.add(busy);
          }
          break;
        case 4: {
          const taken = pool.take(endpoint, new Owner());
          expect(taken === undefined).toBe(idle.size === 0);
          if (taken === undefined) break;
          expect(idle.delete(taken)).toBe(true);
          used.add(taken);
          break;
        }
        case 5:
          if (free === undefined) break;
          idle.delete(free);
          if (random.chance(0.5)) free.onClose("reset", "");
          else free.onEnd();
          break;
        case 6:
          if (busy === undefined) break;
          used.delete(busy);
          busy.onClose("finished", "");
          // Late words of an owner that had not heard of it.
          busy.destroy(true);
          break;
        default:
          if (random.chance(0.9)) break;
          // All that is idle grows too old, and all dials take too long.
          pass(2_000);
          idle.clear();
          dialling.clear();
      }
      expect(counter("upstreamIdle")).toBe(idle.size);
      expect(counter("upstreamOpen")).toBe(idle.size + used.size + dialling.size);
    }
  },
);
