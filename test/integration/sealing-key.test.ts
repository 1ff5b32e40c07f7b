// Goal: nodes that share an etcd honour each other's sticky cookies with nothing to configure, whatever happens to the
// key in etcd; with --sealing-key etcd has no say.
// Method: real nodes in processes of their own on a real etcd; cookies sealed and opened here show who has which key.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { Wait } from "../../src/gen/crosspoint/v1/router.ts";
import {
  decodeSealingKey,
  encodeSealingKey,
  type SealingKey,
} from "../../src/store/sealing-key.ts";
import { StickyCookie, stickyCookieName } from "../../src/worker/sticky-cookie.ts";
import { temporaryDirectory } from "../store/temporary-directory.ts";
import { type ClusterNode, ClusterWorld } from "../support/cluster-world.ts";
import { type EtcdServer, startEtcd } from "../support/etcd-server.ts";
import { type NamedBackend, startHttpBackend } from "../support/named-backend.ts";
import { routeFields } from "../support/rpc-node.ts";
import { answerOf } from "../support/whole-node.ts";

const host = "sticky.example.com";
const service = "sticky";
const timeout = 60_000;
let etcd: EtcdServer;
let prefixes = 0;

beforeAll(async () => void (etcd = await startEtcd()), 30_000);
afterAll(() => etcd.stop());

/** Two nodes, a sticky route, three backends. */
class Stage {
  readonly prefix = `/p${(prefixes += 1)}`;
  world!: ClusterWorld;
  backends!: readonly NamedBackend[];

  static async open(flags: readonly string[] = []): Promise<Stage> {
    const stage = new Stage();
    stage.world = await ClusterWorld.start(`etcd:${etcd.endpoint}${stage.prefix}`, 0);
    onTestFinished(() => stage.world.end());
    await Promise.all([0, 1].map((n) => stage.world.startNode(n, flags)));
    stage.backends = await Promise.all(["one", "two", "three"].map(startHttpBackend));
    onTestFinished(async () => void (await Promise.all(stage.backends.map((it) => it.close()))));
    const { client } = stage.node(0);
    for (const { address } of stage.backends) {
      await client.call("registerBackend", { backend: { service, address } });
    }
    const route = routeFields(host, service, { sticky: true });
    await client.call("addRoute", { route, wait: Wait.ALL });
    return stage;
  }

  node(n: number): ClusterNode {
    return this.world.nodes[n]!;
  }

  stateOf(n: number): string {
    return join(this.world.directory, `node-${n}`);
  }

  /** As etcd has it. */
  async stored(): Promise<string> {
    const text = await etcd.ctl("get", "--print-value-only", `${this.prefix}/sealing-key`);
    return text.trimEnd();
  }

  async store(text: string): Promise<void> {
    await etcd.ctl("put", `${this.prefix}/sealing-key`, text);
  }

  kept(n: number): SealingKey {
    return Uint8Array.from(readFileSync(join(this.stateOf(n), "sealing.key")));
  }

  /** A cookie that whoever has `key` sealed for the last backend. */
  cookie(key: SealingKey): string {
    const { address } = this.backends.at(-1)!;
    return new StickyCookie({ current: key, previous: undefined }).seal(service, address);
  }

  /** What the node gives to a client without a cookie. */
  async given(n: number): Promise<{ readonly cookie: string; readonly by: string }> {
    const { headers, body } = await answerOf(this.node(n).httpPort, "/", { Host: host });
    const cookie = /^_backend=([^;]+)/.exec(String(headers["set-cookie"]))?.[1];
    if (cookie === undefined) throw new Error("no cookie was set");
    return { cookie, by: body.trim() };
  }

  /** Whether the node sends a client with this cookie where it says; "" when it takes it for none. */
  async honoured(n: number, cookie: string): Promise<string> {
    const answer = await answerOf(this.node(n).httpPort, "/", {
      Host: host,
      Cookie: `${stickyCookieName}=${cookie}`,
    });
    return answer.headers["set-cookie"] === undefined ? answer.body.trim() : "";
  }

  /** Resolves once every worker of the node opens what `key` sealed: by different connections, several times in a row. */
  async until(n: number, key: SealingKey): Promise<void> {
    const cookie = this.cookie(key);
    const endMs = performance.now() + 20_000;
    for (let streak = 0; streak < 12; ) {
      streak = (await this.honoured(n, cookie)) === "three" ? streak + 1 : 0;
      if (performance.now() > endMs) throw new Error("the node does not take the key");
      if (streak === 0) await pause(20);
    }
  }
}

const keyOf = (n: number): SealingKey => new Uint8Array(32).fill(n);

describe("nodes on one etcd", { timeout }, () => {
  test("that start at once honour each other's cookies, and keep the key they share", async () => {
    const stage = await Stage.open();
    for (const n of [0, 1]) {
      const { cookie, by } = await stage.given(n);
      for (let i = 0; i < 8; i++) {
        expect([await stage.honoured(0, cookie), await stage.honoured(1, cookie)]).toEqual([
          by,
          by,
        ]);
      }
    }
    const key = decodeSealingKey(await stage.stored());
    expect(key).toBeDefined();
    expect([stage.kept(0), stage.kept(1)]).toEqual([key, key]);
  });

  test("take over a key that is replaced by hand, and honour the cookies of before", async () => {
    const stage = await Stage.open();
    const before = await stage.given(0);
    await stage.store(encodeSealingKey(keyOf(7)));
    for (const n of [0, 1]) await stage.until(n, keyOf(7));
    for (const n of [0, 1]) {
      expect(await stage.honoured(n, before.cookie)).toBe(before.by);
      const { cookie } = await stage.given(n);
      const opener = new StickyCookie({ current: keyOf(7), previous: undefined });
      expect(opener.open(service, cookie)).toMatch(/^127\.0\.0\.1:\d+$/);
      expect(stage.kept(n)).toEqual(keyOf(7));
    }
  });

  test("go on with the key they have when there is garbage, also over a restart", async () => {
    const stage = await Stage.open();
    const { cookie, by } = await stage.given(0);
    await stage.store("c2VjcmV0IGdhcmJhZ2U=");
    const listed = async (): Promise<string> => {
      const { entries } = await stage.node(1).client.call("listRejectedEntries");
      return entries.map(({ key, reason }) => `${key}: ${reason}`).join("\n");
    };
    while ((await listed()) === "") await pause(20);
    expect(await listed()).toBe(
      `${stage.prefix}/sealing-key: the value: is no sealing key: 32 bytes as base64 (44 characters) or hexadecimal (64)`,
    );
    await stage.node(1).child.stop();
    await stage.world.startNode(1);
    expect([await stage.honoured(0, cookie), await stage.honoured(1, cookie)]).toEqual([by, by]);
    expect(await stage.stored()).toBe("c2VjcmV0IGdhcmJhZ2U=");
  });

  test("never show it: not in logs, on the admin port, in the answers of the API", async () => {
    const stage = await Stage.open();
    const stored = await stage.stored();
    const { child, client, adminPort } = stage.node(0);
    const shown = [child.log];
    for (const path of ["/snapshot", "/metrics", "/healthz?verbose", "/readyz?verbose"]) {
      shown.push((await answerOf(adminPort, path, { Host: "admin" })).body);
    }
    for (const method of ["getStore", "listNodes", "listRoutes", "listServices"] as const) {
      const answer: unknown = await client.call(method, {});
      shown.push(
        JSON.stringify(answer, (_, it: unknown) => (typeof it === "bigint" ? `${it}` : it)),
      );
    }
    const hex = Buffer.from(stored, "base64").toString("hex");
    expect(shown.join("\n")).toContain(host);
    for (const text of shown) {
      expect(text).not.toContain(stored);
      expect(text).not.toContain(hex);
      expect(text).not.toContain("sealing-key");
    }
  });
});

describe("a node that starts while etcd is away", { timeout }, () => {
  test("seals with what it learned; one that has learned none yet takes the store's when it answers", async () => {
    const stage = await Stage.open();
    const shared = decodeSealingKey(await stage.stored())!;
    const { cookie, by } = await stage.given(0);
    for (const n of [0, 1]) await stage.node(n).child.stop();
    // As one that has never heard of a key that is shared: its own file, and a copy without any.
    await etcd.ctl("del", `${stage.prefix}/sealing-key`);
    const own = join(stage.world.directory, "own.key");
    writeFileSync(own, keyOf(5));
    await stage.world.startNode(1, [`--sealing-key=${own}`]);
    await stage.node(1).child.stop();
    writeFileSync(join(stage.stateOf(1), "sealing.key"), keyOf(6));
    await etcd.kill();
    await stage.world.startNode(0);
    await stage.world.startNode(1);
    expect(await stage.honoured(0, cookie)).toBe(by);
    await stage.until(1, keyOf(6));
    expect(await stage.honoured(1, cookie)).toBe("");
    await etcd.restart();
    // Whoever comes first puts its own: then the other takes it over.
    while ((await stage.stored()) === "") await pause(50);
    const winner = decodeSealingKey(await stage.stored())!;
    expect([encodeSealingKey(shared), encodeSealingKey(keyOf(6))]).toContain(
      encodeSealingKey(winner),
    );
    for (const n of [0, 1]) await stage.until(n, winner);
    // What each sealed while it was alone it still honours.
    expect(await stage.honoured(0, cookie)).toBe(by);
    expect(await stage.honoured(1, stage.cookie(keyOf(6)))).toBe("three");
    expect([stage.kept(0), stage.kept(1)]).toEqual([winner, winner]);
  });
});

describe("--sealing-key", { timeout }, () => {
  test("counts alone: nothing is put into etcd, and nothing is taken from there", async () => {
    const file = join(temporaryDirectory(), "own.key");
    writeFileSync(file, `${encodeSealingKey(keyOf(3))}\n`);
    const stage = await Stage.open([`--sealing-key=${file}`]);
    const { cookie, by } = await stage.given(0);
    expect(await stage.honoured(1, cookie)).toBe(by);
    expect(await stage.stored()).toBe("");
    await stage.store(encodeSealingKey(keyOf(4)));
    // What is stored after it shows that it was seen.
    const route = routeFields("later.example.com", service);
    await stage.node(0).client.call("addRoute", { route, wait: Wait.ALL });
    for (const n of [0, 1]) {
      expect(await stage.honoured(n, stage.cookie(keyOf(4)))).toBe("");
      expect(await stage.honoured(n, cookie)).toBe(by);
      expect(stage.node(n).child.log).not.toContain("key of the store");
    }
  });
});
