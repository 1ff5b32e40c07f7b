// Goal: what goes through a tunnel arrives byte for byte, however large it is, however slow its reader and whoever moves it,
// the worker or the kernel; it is counted as it passes, and no descriptor is left.
// Method: a TCP route of a worker on real sockets, both directions at once; content that tells where in it it belongs.

import { randomInt } from "node:crypto";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Stream } from "../../src/io/stream.ts";
import type { WorkerLimits } from "../../src/worker/make-context.ts";
import { testedAdapter } from "../support/adapters.ts";
import { OneWorker } from "../support/one-worker.ts";
import { PatternReader, sendPattern } from "../support/relay-world.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { backendOf, routeOf } from "../support/table-fixtures.ts";
import { turns, until } from "../support/until.ts";

const mebibyte = 1024 * 1024;
const withinMs = 18_000;
/** The net adapter's streams belong to Node. */
const relays = testedAdapter() !== "net";
const seed = randomInt(2 ** 31);
console.log(`bulk tunnels: seed ${seed}`);

interface Tunnelled {
  readonly worker: OneWorker;
  readonly client: Socket;
  readonly backend: Socket;
}

async function tunnelled(limits: Partial<WorkerLimits> = {}): Promise<Tunnelled> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const worker = await OneWorker.start(({ tcpPort }) => ({
    routes: [routeOf("relay", tcpPort)],
    backends: [backendOf("web", `127.0.0.1:${port}`)],
    limits,
    settings: { accessLog: true },
  }));
  const accepted = once(server, "connection");
  const client = connect({ port: worker.tcpPort, host: "127.0.0.1", allowHalfOpen: true }).pause();
  const [backend] = (await accepted) as [Socket];
  for (const socket of [client, backend]) socket.on("error", () => {});
  onTestFinished(async () => {
    client.destroy();
    backend.destroy();
    await worker.close();
    server.close();
  });
  return { worker, client, backend };
}

/** Stops for some turns after each part of a random size. */
function stalling(socket: Socket, random: SeededRandom): PatternReader {
  let left = mebibyte;
  return new PatternReader(socket, (bytes) => {
    left -= bytes;
    if (left > 0) return;
    left = random.below(6 * mebibyte);
    socket.pause();
    void turns(random.below(30)).then(() => socket.resume());
  });
}

/** Bytes that passed without coming to user space; the streams are asked to tell. */
function watched(streams: readonly Stream[]): { relayed: number } {
  const seen = { relayed: 0 };
  for (const stream of streams) {
    const relayTo = stream.relayTo?.bind(stream);
    if (relayTo === undefined) continue;
    stream.relayTo = (target, told) =>
      relayTo(target, {
        onRelayed(bytes) {
          seen.relayed += bytes;
          told.onRelayed(bytes);
        },
      });
  }
  return seen;
}

const allStreams = ({ worker }: Tunnelled): readonly Stream[] => [
  ...worker.accepted,
  ...worker.dialled,
];

describe("a tunnel", () => {
  test("64 MiB both ways at once, through readers that stall: byte for byte, and counted", async () => {
    const made = await tunnelled();
    const { worker, client, backend } = made;
    const seen = watched(allStreams(made));
    const random = new SeededRandom(seed);
    const size = 64 * mebibyte;
    const readers = [stalling(client, random), stalling(backend, random)] as const;
    for (const socket of [client, backend])
      void sendPattern(socket, 0, size).then(() => socket.end());
    await until(
      () => readers.every(({ ended }) => ended),
      () => `both ends: ${readers.map(({ bytes }) => bytes).join()}`,
      withinMs,
    );
    expect(readers.map(({ bytes, wrongAt }) => [bytes, wrongAt])).toEqual([
      [size, -1],
      [size, -1],
    ]);
    expect([worker.counter("bytesFromClients"), worker.counter("bytesToClients")]).toEqual([
      size,
      size,
    ]);
    if (relays) expect(seen.relayed).toBeGreaterThan(size);
    expect(await worker.line(1)).toMatchObject({ bytes_in: size, bytes_out: size });
  });

  test.for([
    ["with pipes", {}],
    ["without", { pipesMax: 0 }],
  ] as const)("small messages and bulk in turn, %s", async ([, limits]) => {
    const made = await tunnelled(limits);
    const { client, backend, worker } = made;
    const seen = watched(allStreams(made));
    const random = new SeededRandom(seed);
    const reader = new PatternReader(backend);
    let sent = 0;
    for (let round = 0; round < 12; round++) {
      for (let i = 0; i < 20; i++) {
        const size = 1 + random.below(300);
        await sendPattern(client, sent, sent + size);
        sent += size;
        // Each arrives alone.
        await reader.untilBytes(sent);
      }
      const bulk = 1 + random.below(2 * mebibyte);
      await sendPattern(client, sent, sent + bulk);
      sent += bulk;
      await reader.untilBytes(sent);
    }
    expect([reader.bytes, reader.wrongAt]).toEqual([sent, -1]);
    expect(worker.counter("bytesFromClients")).toBe(sent);
    if ("pipesMax" in limits || !relays) expect(seen.relayed).toBe(0);
    else expect(seen.relayed).toBeGreaterThan(mebibyte);
  });

  test.for(["client", "backend"] as const)(
    "a reset by the %s in the middle reaches the other",
    async (who) => {
      const { worker, client, backend } = await tunnelled();
      const [from, to] = who === "client" ? [client, backend] : [backend, client];
      const reader = new PatternReader(to);
      void sendPattern(from, 0, 256 * mebibyte);
      await reader.untilBytes(16 * mebibyte);
      from.resetAndDestroy();
      await until(() => reader.closed, "the other to be closed");
      expect(reader.error).toBe("ECONNRESET");
      expect(reader.wrongAt).toBe(-1);
      await worker.reaches("tcpConnectionsOpen", 0);
    },
  );

  test.for(["client", "backend"] as const)(
    "a reset by the %s, who does not read, reaches the other",
    async (who) => {
      const { worker, client, backend } = await tunnelled();
      const [to, from] = who === "client" ? [client, backend] : [backend, client];
      const reader = new PatternReader(from);
      void sendPattern(from, 0, 256 * mebibyte);
      await until(
        () => [...worker.accepted, ...worker.dialled].some(({ queuedBytes }) => queuedBytes > 0),
        "a stall",
      );
      to.resetAndDestroy();
      await until(() => reader.closed, "the other to be closed");
      await worker.reaches("tcpConnectionsOpen", 0);
    },
  );

  test.for(["stalled", "idle"] as const)(
    "a worker that ends gives every descriptor back, its tunnel %s",
    async (how) => {
      const before = readdirSync("/proc/self/fd").length;
      const { worker, client, backend } = await tunnelled();
      if (how === "stalled") {
        void sendPattern(client, 0, 256 * mebibyte);
        await until(() => worker.dialled.some(({ queuedBytes }) => queuedBytes > 0), "a stall");
      } else {
        const reader = new PatternReader(backend);
        await sendPattern(client, 0, 8 * mebibyte);
        await reader.untilBytes(8 * mebibyte);
      }
      await worker.close();
      client.destroy();
      backend.destroy();
      // The listening socket of this test's backend is still open.
      await until(() => readdirSync("/proc/self/fd").length <= before + 1, "the descriptors");
    },
  );
});
