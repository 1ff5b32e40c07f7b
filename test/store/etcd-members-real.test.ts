// Goal: what the members of an etcd in memory promise holds with a real one: its leases, its watch, its silence.
// Method: three nodes with a short lease, each over a relay of its own that can be cut or made deaf.

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { EtcdClient } from "../../src/etcd/client.ts";
import { type KeyValue, prefixEnd, type WatchStream } from "../../src/etcd/etcd.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { EtcdMembers } from "../../src/store/etcd-members.ts";
import { realSystem, sleep } from "../../src/system.ts";
import { type EtcdServer, startEtcd } from "../support/etcd-server.ts";
import { infoOf } from "../support/fake-members.ts";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { type RecordingLog, recordingLog } from "../support/recording-log.ts";
import { until } from "../support/until.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

const leaseSeconds = 2;
const ttlMs = leaseSeconds * 1000;
let etcd: EtcdServer;
let prefixes = 0;

beforeAll(async () => void (etcd = await startEtcd()));
afterAll(() => etcd.stop());

/** A node's members, fed by a watch in the fewest lines. */
class Node {
  readonly name: string;
  readonly prefix: string;
  readonly log: RecordingLog = recordingLog();
  readonly relay: FaultProxy;
  readonly members: EtcdMembers;
  readonly #client: EtcdClient;
  readonly #ending = new AbortController();
  #seen = new Map<string, number>();
  #watch: WatchStream | undefined;

  static async start(
    name: string,
    prefix: string,
    directory = temporaryDirectory(),
  ): Promise<Node> {
    const relay = await startFaultProxy({ port: etcd.port });
    const setting = {
      endpoints: [relay.endpoint],
      user: undefined,
      password: undefined,
      passwordFile: undefined,
      caFile: undefined,
      certFile: undefined,
      keyFile: undefined,
    };
    const node = new Node(
      name,
      prefix,
      directory,
      relay,
      await EtcdClient.open(setting, realSystem),
    );
    onTestFinished(() => node.kill());
    void node.#follow();
    return node;
  }

  private constructor(
    name: string,
    prefix: string,
    directory: string,
    relay: FaultProxy,
    client: EtcdClient,
  ) {
    this.name = name;
    this.prefix = prefix;
    this.relay = relay;
    this.#client = client;
    this.members = new EtcdMembers({
      etcd: client,
      prefix,
      nodeName: name,
      directory,
      system: realSystem,
      log: this.log,
      leaseSeconds,
    });
  }

  get names(): string {
    return this.members
      .list()
      .map(({ name }) => name)
      .join();
  }

  get state(): string {
    return this.members.self.kind;
  }

  announce(): Promise<void> {
    return this.members.announce(infoOf(this.name));
  }

  /** Ends without a word, as a kill does. */
  async kill(): Promise<void> {
    this.#ending.abort();
    this.members.close();
    this.#watch?.cancel();
    await this.#client.close();
    await this.relay.close();
  }

  async #follow(): Promise<void> {
    const range = { key: `${this.prefix}/`, end: prefixEnd(`${this.prefix}/`) };
    while (!this.#ending.signal.aborted) {
      try {
        const { kvs, header } = await this.#client.range(range);
        const deletes = this.#seen.keys().filter((key) => kvs.every((kv) => kv.key !== key));
        this.#tell(kvs, [...deletes]);
        await this.#watchFrom({ ...range, startRevision: header.revision + 1 });
      } catch {
        // etcd is away: again in a moment.
      }
      await sleep(realSystem, 50, this.#ending.signal);
    }
  }

  async #watchFrom(request: { key: string; end: string; startRevision: number }): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#watch = this.#client.watch(
        request,
        (message) => {
          if (message.kind !== "events") return;
          for (const event of message.events) {
            if (event.kind === "put") this.#tell([event.kv], []);
            else this.#tell([], [event.key]);
          }
        },
        () => resolve(),
      );
      this.#ending.signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  #tell(kvs: readonly KeyValue[], deletes: readonly string[]): void {
    const puts = kvs.filter((kv) => this.#seen.get(kv.key) !== kv.modRevision);
    for (const kv of puts) this.#seen.set(kv.key, kv.modRevision);
    for (const key of deletes) this.#seen.delete(key);
    this.members.observe(puts, deletes);
  }
}

async function three(): Promise<[Node, Node, Node]> {
  const prefix = `/members-${++prefixes}`;
  const nodes = await Promise.all(["a", "b", "c"].map((name) => Node.start(name, prefix)));
  await Promise.all(nodes.map((node) => node.announce()));
  await until(() => nodes.every(({ names }) => names === "a,b,c"), "three nodes in three lists");
  return nodes as [Node, Node, Node];
}

const namesBecome = (nodes: readonly Node[], names: string, deadlineMs?: number): Promise<void> =>
  until(
    () => nodes.every((node) => node.names === names),
    () => `${names}: ${nodes.map((node) => `${node.name} lists ${node.names}`).join("; ")}`,
    deadlineMs,
  );

describe("with a real etcd", () => {
  test("three nodes list each other; reports and questions arrive", async () => {
    const [a, b, c] = await three();
    const heard: string[] = [];
    for (const node of [a, b, c]) {
      node.members.onQuestion((one) => heard.push(`${node.name} by ${one.from}: ${one.revision}`));
    }
    await a.members.ask(parseRevision(1), 1_000);
    await until(() => heard.length === 2, "both questions");
    expect(heard.toSorted()).toEqual(["b by a: 1", "c by a: 1"]);
    await b.members.report({ servedRevision: parseRevision(1), lag: undefined });
    await until(() => a.members.list()[1]?.servedRevision === 1, "the report");
    expect(a.members.list().map(({ starting }) => starting)).toEqual([true, false, true]);
    expect(a.members.list()[1]).toMatchObject(infoOf("b"));
  });

  test("a node that is killed is gone within its time and a second; started again it is back at once", async () => {
    const prefix = `/members-${++prefixes}`;
    const directory = temporaryDirectory();
    const a = await Node.start("a", prefix);
    const b = await Node.start("b", prefix, directory);
    await Promise.all([a.announce(), b.announce()]);
    await namesBecome([a, b], "a,b");
    await b.kill();
    await namesBecome([a], "a", ttlMs + 1_000);
    const again = await Node.start("b", prefix, directory);
    await again.announce();
    await namesBecome([a, again], "a,b");
    // Killed and started within the lease: its entry changes hands, and is never gone.
    const { reportId } = a.members.list()[1]!;
    await again.kill();
    const third = await Node.start("b", prefix, directory);
    const startMs = performance.now();
    await third.announce();
    expect([third.state, performance.now() - startMs < 1_000]).toEqual(["announced", true]);
    await until(() => a.members.list()[1]?.reportId !== reportId, "the new process");
    await sleep(realSystem, ttlMs + 500); // the time of the old lease
    expect(a.names).toBe("a,b");
  });

  test("a name that is taken is told, and free once its holder has left", async () => {
    const [a, , c] = await three();
    const other = await Node.start("a", a.prefix);
    await other.announce();
    expect(other.members.self).toMatchObject({
      kind: "taken",
      cause: expect.stringContaining("the node at a.internal:7070 is called"),
    });
    await a.members.leave();
    await until(() => other.state === "announced", "the name");
    await namesBecome([c, other], "a,b,c");
  });

  test.for(["cut", "deaf"] as const)(
    "a node that is %s is lost to others and to itself, and announces itself again",
    async (fault) => {
      const [a, b, c] = await three();
      const startMs = performance.now();
      if (fault === "deaf") a.relay.blackhole();
      else {
        a.relay.refuse();
        a.relay.cut();
      }
      await until(() => a.state === "lost", "the node to know");
      const knewMs = performance.now() - startMs;
      expect(knewMs).toBeLessThan(ttlMs + 200);
      await namesBecome([b, c], "b,c", ttlMs + 1_000);
      await a.relay.heal();
      await until(() => a.state === "announced", "the node to be back");
      await namesBecome([a, b, c], "a,b,c");
    },
  );

  test("a lease that somebody revoked is replaced", async () => {
    const [a, b, c] = await three();
    const text = await etcd.ctl("get", `${a.prefix}/nodes/a`, "-w", "json");
    const { kvs } = JSON.parse(text.replaceAll(/"lease":(\d+)/g, '"lease":"$1"')) as {
      kvs: { lease: string }[];
    };
    await etcd.ctl("lease", "revoke", BigInt(kvs[0]!.lease).toString(16));
    await until(() => a.log.messages().length >= 3, "the loss and the return");
    expect(a.log.messages()).toEqual([
      "this node is among the nodes of its store",
      "this node is not among the nodes of its store; it is tried again",
      "this node is among the nodes of its store",
    ]);
    await namesBecome([a, b, c], "a,b,c");
  });

  test("etcd killed and started again: everybody is back", async () => {
    const nodes = await three();
    await etcd.kill();
    await until(() => nodes.every(({ state }) => state === "lost"), "all to be lost");
    await etcd.restart();
    await until(() => nodes.every(({ state }) => state === "announced"), "all to be back");
    await namesBecome(nodes, "a,b,c");
    await nodes[0].members.report({ servedRevision: parseRevision(1), lag: undefined });
    await until(() => nodes[1].members.list()[0]?.servedRevision === 1, "a report afterwards");
  });
});
