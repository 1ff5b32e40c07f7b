// Goal: dialling comes to one outcome, on every adapter: it stands, is refused, is unreachable, or nothing is heard of
// it any more. And a stream knows its two ends.
// Method: real sockets; names that do not exist, and one that a stubbed resolver gives two addresses.

import { spawn } from "node:child_process";
import dns from "node:dns";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { acceptOne, closeFd, listen, openListener, PeerAddress } from "../../src/io/sockets.ts";
import { adapters } from "../support/adapters.ts";
import { blackHole, Peer, RawBackend, refusedAddress } from "../support/peer.ts";
import { receiveFrom } from "../support/socket-pair.ts";
import { StreamWorld, write } from "../support/stream-world.ts";
import { turns, until } from "../support/until.ts";

const portOf = (address: string): number => Number(address.split(":").at(-1));

describe.for(adapters)("on $name", (adapter) => {
  const world = (): StreamWorld => new StreamWorld(adapter);

  test.for(["127.0.0.1", "::1", "localhost"])(
    "a port of %s where nobody listens is refused",
    async (host) => {
      const witness = world().dial(host, portOf(await refusedAddress()));
      await witness.untilClosed();
      await turns(3);
      expect(witness.seen).toEqual(["close refused"]);
    },
  );

  test.for([
    ["a name that does not exist", "no-such-host.invalid"],
    ["an address of nobody's network", "255.255.255.255"],
  ])("%s is unreachable", async ([, host]) => {
    const witness = world().dial(host!, 80);
    await witness.untilClosed();
    await turns(3);
    expect(witness.seen).toEqual(["close unreachable"]);
  });

  test("what there is no descriptor for is told apart from a backend that cannot be reached", async () => {
    const { port } = await backendHere();
    const program = join(import.meta.dirname, "../support/dialling-process.ts");
    const limited = ["-c", 'ulimit -n 90 && exec "$@"', "sh", process.execPath, program];
    const child = spawn("sh", [...limited, adapter.name, String(port)], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const outcomes: unknown[] = [];
    child.on("message", (outcome) => outcomes.push(outcome));
    await until(() => outcomes.length >= 100, "all dials to come out");
    expect(new Set(outcomes)).toEqual(new Set(["connected", "exhausted"]));
  });

  test.for(["127.0.0.1", "localhost", "two.test"])(
    "what is written to %s before it stands is sent when it does",
    async (host) => {
      resolving("two.test", ["127.0.0.77", "127.0.0.1"]);
      const backend = await backendHere();
      const witness = world().dial(host, backend.port);
      write(witness.stream!, "early;");
      await witness.until("connect");
      write(witness.stream!, "late");
      const peer = await backend.accept();
      expect(await peer.takeBytes(10)).toBe("early;late");
    },
  );

  test.for([true, false])(
    "what is written while a connection is long in coming is sent when it stands (and ended: %s)",
    async (ends) => {
      const { fd, port } = openListener({ address: "127.0.0.1", port: 0 });
      onTestFinished(() => closeFd(fd));
      listen(fd, 0);
      const filler = await Peer.connect(port);
      const witness = world().dial("127.0.0.1", port);
      write(witness.stream!, "early");
      if (ends) witness.stream!.end();
      await turns(20);
      expect(witness.seen).toEqual([]);
      // Room for it: the kernel tries again after a second.
      const who = new PeerAddress();
      const taken = [acceptOne(fd, who)];
      await witness.until("connect");
      taken.push(acceptOne(fd, who));
      onTestFinished(() => taken.forEach((one) => closeFd(one)));
      if (!ends) write(witness.stream!, "; late");
      let text = "";
      const whole = ends ? "early." : "early; late";
      const receive = (): boolean => {
        const bytes = receiveFrom(taken[1]!);
        if (typeof bytes === "number") return false;
        text += bytes.length === 0 ? "." : Buffer.from(bytes).toString();
        return text === whole;
      };
      await until(receive, () => `all of it; so far ${text}`);
      filler.socket.destroy();
    },
  );

  test("paused before it stands, it stands, and reads when it is resumed", async () => {
    const backend = await backendHere();
    const witness = world().dial("127.0.0.1", backend.port);
    witness.stream!.pause();
    const peer = await backend.accept();
    peer.send("hello");
    await witness.until("connect");
    await turns(20);
    expect(witness.text).toBe("");
    witness.stream!.resume();
    await witness.untilBytes(5);
  });

  test("destroyed inside onConnect, it is gone", async () => {
    const backend = await backendHere();
    const witness = world().dial("127.0.0.1", backend.port, {
      connect: (one) => one.destroy(true),
    });
    const peer = await backend.accept();
    await peer.untilClosed();
    await turns(5);
    expect(witness.seen).toEqual(["connect"]);
    expect(peer.error).toBe("ECONNRESET");
  });

  test.for([
    ["at once", 0],
    ["a turn later", 1],
    ["three turns later", 3],
  ] as const)("given up %s, nothing more is heard of it", async ([, later]) => {
    const hole = portOf(await blackHole());
    const backend = await backendHere();
    const refused = portOf(await refusedAddress());
    const one = world();
    const targets = [
      ["127.0.0.1", hole],
      ["127.0.0.1", backend.port],
      ["127.0.0.1", refused],
      ["no-such-host.invalid", 80],
      ["localhost", backend.port],
    ] as const;
    for (const [host, port] of targets) {
      const witness = one.dial(host, port);
      await turns(later);
      const { length } = witness.seen;
      witness.stream!.destroy(port !== hole);
      await turns(10);
      expect(witness.seen.length).toBe(length);
    }
    await until(() => backend.peers.every((peer) => peer.over), "whoever was reached to be left");
  });

  test.for([true, false])(
    "hundreds of dials given up at once leave nobody behind (with a reset: %s)",
    async (reset) => {
      const backend = await backendHere();
      const one = world();
      // Fewer than fit into the backend's queue (511): they may be there before they are given up.
      const dialled = Array.from({ length: 400 }, () => one.dial("127.0.0.1", backend.port));
      for (const { stream } of dialled) stream!.destroy(reset);
      const kept = one.dial("127.0.0.1", backend.port);
      write(kept.stream!, "kept");
      const whole = (): boolean => backend.peers.some((peer) => peer.text === "kept");
      await until(whole, "the one that was kept");
      await until(() => backend.peers.filter((peer) => !peer.over).length === 1, "the others' end");
      expect(dialled.every(({ seen }) => seen.length === 0)).toBe(true);
    },
  );

  test("a name that has two addresses, the first of which refuses, is reached by the second", async () => {
    resolving("two.test", ["127.0.0.77", "127.0.0.1"]);
    const backend = await backendHere();
    const witness = world().dial("two.test", backend.port);
    await witness.until("connect");
    const peer = await backend.accept();
    write(witness.stream!, "hello");
    expect(await peer.takeBytes(5)).toBe("hello");
    expect(witness.seen).toEqual(["connect"]);
  });

  test("a name all of whose addresses refuse is refused", async () => {
    resolving("two.test", ["127.0.0.77", "127.0.0.1"]);
    const witness = world().dial("two.test", portOf(await refusedAddress()));
    await witness.untilClosed();
    expect(witness.seen).toEqual(["close refused"]);
  });

  test.for(["127.0.0.1", "::1"])("both ends know each other over %s", async (address) => {
    const one = new StreamWorld(adapter, { address });
    const { port, accepted } = await one.listen();
    const dialled = one.dial(address, port);
    await dialled.until("connect");
    await until(() => accepted.length === 1, "the stream");
    const stream = accepted[0]!.stream!;
    const { localAddress, localPort, remoteAddress, remotePort } = stream;
    expect([localAddress, localPort, remoteAddress]).toEqual([address, port, address]);
    expect([dialled.stream!.localAddress, dialled.stream!.remoteAddress]).toEqual([
      address,
      address,
    ]);
    expect(dialled.stream!.remotePort).toBe(port);
    const peer = await Peer.connect(port, address);
    await until(() => accepted.length === 2, "the other stream");
    expect(accepted[1]!.stream!.remotePort).toBe(peer.socket.localPort);
    expect(remotePort).not.toBe(peer.socket.localPort);
    peer.socket.destroy();
    stream.destroy(true);
    expect([stream.localAddress, stream.remoteAddress]).toEqual(["", address]);
  });
});

async function backendHere(): Promise<RawBackend> {
  const backend = await RawBackend.start();
  onTestFinished(() => backend.close());
  return backend;
}

/** For one test, a name of ours in front of the resolver's, for whoever asks it in whatever way. */
function resolving(name: string, addresses: readonly string[]): void {
  const { lookup } = dns;
  const { lookup: lookupPromise } = dns.promises;
  const all = addresses.map((address) => ({ address, family: 4 }));
  const ours = (host: string, options: unknown): unknown => {
    if (host !== name) return undefined;
    const wantsAll = typeof options === "object" && options !== null && Reflect.get(options, "all");
    return wantsAll === true ? all : all[0];
  };
  const stub = (host: string, ...rest: unknown[]): unknown => {
    const answer = ours(host, rest[0]);
    if (answer === undefined) return Reflect.apply(lookup, dns, [host, ...rest]);
    const callback = rest.at(-1) as (error: Error | null, ...answer: unknown[]) => void;
    const words = Array.isArray(answer) ? [answer] : [all[0]!.address, 4];
    return void setImmediate(() => callback(null, ...words));
  };
  const stubPromise = async (host: string, options?: unknown): Promise<unknown> =>
    ours(host, options) ?? (await Reflect.apply(lookupPromise, dns.promises, [host, options]));
  Object.assign(dns, { lookup: stub });
  Object.assign(dns.promises, { lookup: stubPromise });
  syncBuiltinESMExports();
  onTestFinished(() => {
    Object.assign(dns, { lookup });
    Object.assign(dns.promises, { lookup: lookupPromise });
    syncBuiltinESMExports();
  });
}
