// Goal: what docs/ETCD.md tells people to type does what it says.
// Method: its shell blocks are run in order against a real etcd, with etcdctl; a store beside it tells the table.

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { etcdTransactionOperationsMax } from "../../src/limits.ts";
import { matchText } from "../../src/model/route.ts";
import type { EtcdStore } from "../../src/store/etcd-store.ts";
import { until } from "../support/until.ts";
import { etcdFixture } from "./etcd-fixture.ts";
import { put, putRoute, take } from "./samples.ts";

const run = promisify(execFile);
const document = readFileSync(new URL("../../docs/ETCD.md", import.meta.url), "utf8");
const blocks = [...document.matchAll(/```sh\n(.*?)```/gs)].map((match) => match[1] ?? "");
const etcd = etcdFixture();

async function shell(script: string): Promise<string> {
  const env = {
    ...process.env,
    ETCDCTL_API: "3",
    ETCDCTL_ENDPOINTS: etcd.server.endpoint,
  };
  const { stdout } = await run("sh", ["-ec", script], { env });
  return stdout;
}

/** The table in short. */
async function told(store: EtcdStore): Promise<string[]> {
  const { routes, services, backends } = await store.read();
  return [
    ...routes.map(({ name, match, service }) => `${name}: ${matchText(match)} ${service}`),
    ...services.map(({ name, policy }) => `${name}: ${policy}`),
    ...backends.map(({ address, weight, ttlMs }) => `${address} ${weight} ${ttlMs ?? "stays"}`),
  ].toSorted();
}

describe("docs/ETCD.md", () => {
  test("what it tells to type does what it says, block by block", async () => {
    const store = await etcd.open({ prefix: "/crosspoint" });
    await put(store, putRoute("from-the-api"));
    const before = await told(store);
    let expected: readonly string[] = [];
    const check = async (...lines: readonly string[]): Promise<void> => {
      expected = [...before, ...lines].toSorted();
      let now: readonly string[] = [];
      const look = setInterval(() => void told(store).then((lines_) => (now = lines_)), 5);
      await until(
        () => now.join("\n") === expected.join("\n"),
        () => now.join("\n"),
      ).finally(() => clearInterval(look));
    };
    const routes = [
      "web: app.example.com web",
      "web-api: app.example.com/api api",
      "db: tcp:3100 postgres",
    ];
    const backends = ["10.0.0.7:8080 100 stays", "[2001:db8::7]:8080 100 stays"];
    const [putRoutes, putBackends, lease, reading, transaction, newKey, ...others] = blocks;
    expect(others).toEqual([]);
    await shell(putRoutes ?? "");
    await check(...routes);
    await shell(putBackends ?? "");
    await check(
      ...routes,
      "web: round-robin",
      "postgres: undefined",
      ...backends,
      "10.0.0.8:8080 50 stays",
    );
    expect(await shell(lease ?? "")).toMatch(/keepalived with TTL\(30\)/);
    await check(
      ...routes,
      "web: round-robin",
      "postgres: undefined",
      ...backends,
      "10.0.0.8:8080 50 stays",
      "10.0.0.9:8080 100 30000",
    );
    const read = await shell(reading ?? "");
    expect(read).toContain('/crosspoint/routes/db\n{"tcp":{"port":3100},"service":"postgres"}\n');
    expect(read).toContain("/crosspoint/backends/web/[2001:db8::7]:8080\n");
    const left = [
      "web: round-robin",
      "postgres: undefined",
      ...backends,
      "10.0.0.9:8080 100 30000",
    ];
    await check("web: app.example.com web", "db: tcp:3100 postgres", ...left);
    await shell(transaction ?? "");
    await check("web: www.example.com web", ...left);
    await shell(newKey ?? "");
    await until(() => store.sealingKey.current !== undefined, "the sealing key");
    await check("web: www.example.com web", ...left);
    expect(store.rejected).toEqual([]);
  });

  test("the largest write that it names is one transaction, and one more is several revisions", async () => {
    const entries = Number(/more than (\d+) entries/.exec(document)?.[1]);
    expect(entries).toBe(etcdTransactionOperationsMax - 4);
    const store = await etcd.open();
    const write = async (count: number): Promise<number> => {
      const { revision: expected } = await store.read();
      const revision = await store.commit({
        expected,
        changes: Array.from({ length: count }, (_, i) => putRoute(`r${i}`)),
        request: { id: `${count}`, fingerprint: "f", answer: new Uint8Array() },
        ask: { waitMs: 1 },
      });
      const sets = await take(store, expected, 1);
      return revision - (sets[0]?.revision ?? 0);
    };
    expect(await write(entries)).toBe(0);
    expect(await write(entries + 1)).toBeGreaterThan(0);
    expect((await store.read()).routes).toHaveLength(entries + 1);
  });
});
