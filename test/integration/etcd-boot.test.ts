// Goal: a node that cannot have its etcd says why and what to do, where an operator looks; with a copy of the table on
// its disk it serves all the same, and says that too.
// Method: real processes; real etcds, with passwords, certificates, of another kind, or not there at all.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type Certificates, makeCertificates } from "../support/etcd-certificates.ts";
import { type EtcdServer, freePorts, startEtcd } from "../support/etcd-server.ts";
import { startForeignEtcd } from "../support/foreign-etcd.ts";
import { freshGet } from "../support/fresh-connection.ts";
import { Launched } from "../support/launched.ts";
import { startHttpBackend } from "../support/named-backend.ts";
import { Client, routeFields } from "../support/rpc-node.ts";
import { answerOf } from "../support/whole-node.ts";

const password = "correct horse";
let certificates: Certificates;
let withPassword: EtcdServer;
let withCertificates: EtcdServer;

beforeAll(async () => {
  certificates = makeCertificates();
  withPassword = await startEtcd();
  for (const words of [
    ["user", "add", "root:root"],
    ["role", "add", "crosspoint"],
    ["role", "grant-permission", "crosspoint", "readwrite", "--prefix=true", "/crosspoint/"],
    ["user", "add", `node:${password}`],
    ["user", "grant-role", "node", "crosspoint"],
    ["user", "grant-role", "root", "root"],
    ["auth", "enable"],
  ]) {
    await withPassword.ctl(...words);
  }
  withCertificates = await startEtcd({
    tls: { ...certificates, clients: false },
  });
});

afterAll(async () => {
  certificates.remove();
  await withPassword.stop();
  await withCertificates.stop();
});

interface World {
  readonly directory: string;
  /** A file in the directory with this content. */
  readonly file: (name: string, content: string) => string;
}

interface Case {
  readonly name: string;
  readonly flags: (world: World) => Promise<readonly string[]> | readonly string[];
  readonly says: RegExp;
}

const cases: readonly Case[] = [
  {
    name: "nobody listens there",
    flags: async () => [`--store=etcd:http://127.0.0.1:${(await freePorts(1))[0]}`],
    says: /refuses the connection .*is the port right/,
  },
  {
    name: "a name that does not exist",
    flags: () => ["--store=etcd:http://etcd.invalid:2379"],
    says: /etcd\.invalid:2379 has a name that cannot be resolved: check/,
  },
  {
    name: "a wrong password",
    flags: ({ file }) => [
      `--store=etcd:${withPassword.endpoint}`,
      "--etcd-user=node",
      `--etcd-password-file=${file("password", "wrong horse")}`,
    ],
    says: /password/i,
  },
  {
    name: "no user where one is needed",
    flags: () => [`--store=etcd:${withPassword.endpoint}`],
    says: /--etcd-user/,
  },
  {
    name: "a prefix that the user may not read",
    flags: ({ file }) => [
      `--store=etcd:${withPassword.endpoint}/elsewhere`,
      "--etcd-user=node",
      `--etcd-password-file=${file("password", password)}`,
    ],
    says: /permission/,
  },
  {
    name: "a certificate of another authority",
    flags: () => [
      `--store=etcd:${withCertificates.endpoint.replace("127.0.0.1", "localhost")}`,
      `--etcd-ca=${certificates.otherCaFile}`,
    ],
    says: /--etcd-ca/,
  },
  {
    name: "plain text to a port that speaks TLS",
    flags: () => [`--store=etcd:${withCertificates.endpoint.replace("https", "http")}`],
    says: /https/,
  },
  {
    name: "an etcd that is too old",
    flags: async () => {
      const foreign = await startForeignEtcd("3.2.0");
      onTestFinished(() => foreign.stop());
      return [`--store=etcd:${foreign.endpoint}`];
    },
    says: /3\.2\.0.*3\.4/,
  },
];

const anywhere = [
  "--http=127.0.0.1:0",
  "--rpc=127.0.0.1:0",
  "--tcp-address=127.0.0.1",
  "--workers=1",
] as const;

describe("without a copy of the table", () => {
  test.for(cases)("$name: told, with what to do; not ready; ends when asked", async (one) => {
    const world = newWorld();
    const [adminPort] = await freePorts(1);
    const flags = await one.flags(world);
    const node = new Launched([
      ...flags,
      ...anywhere,
      `--admin=127.0.0.1:${adminPort}`,
      `--state=${world.directory}`,
    ]);
    const line = await node.untilLogged("the store cannot be read; the node starts once it can");
    expect(line["cause"]).toMatch(one.says);
    const ready = await answerOf(adminPort!, "/readyz?verbose", {});
    expect(ready).toMatchObject({ status: 503, body: expect.stringMatching(one.says) });
    expect((await answerOf(adminPort!, "/livez", {})).status).toBe(200);
    for (const secret of ["wrong horse", password]) {
      expect(`${node.err}${ready.body}`).not.toContain(secret);
    }
    expect(await node.stop()).toBe(0);
    expect(node.out).toBe("");
  });

  test("and ready as soon as etcd is there", async () => {
    const world = newWorld();
    const etcd = await startEtcd();
    onTestFinished(() => etcd.stop());
    await etcd.kill();
    const node = new Launched([
      `--store=etcd:${etcd.endpoint}`,
      ...anywhere,
      "--admin=127.0.0.1:0",
      `--state=${world.directory}`,
    ]);
    await node.untilLogged("the store cannot be read; the node starts once it can");
    await etcd.restart();
    const { adminPort } = await node.ready();
    expect((await answerOf(adminPort, "/readyz", {})).status).toBe(200);
  });
});

describe("with a copy of the table", () => {
  test("it serves what it had, and says that it is stale", async () => {
    const world = newWorld();
    const etcd = await startEtcd();
    const backend = await startHttpBackend("web");
    onTestFinished(async () => {
      await backend.close();
      await etcd.stop();
    });
    const flags = [
      `--store=etcd:${etcd.endpoint}`,
      ...anywhere,
      "--admin=127.0.0.1:0",
      `--state=${world.directory}`,
    ];
    const first = new Launched(flags);
    const client = new Client((await first.ready()).rpc);
    await client.call("registerBackend", { backend: { service: "web", address: backend.address } });
    await client.call("addRoute", { route: routeFields("app.example.com", "web") });
    client.close();
    expect(await first.stop()).toBe(0);
    await etcd.kill();

    const second = new Launched(flags);
    const { httpPort, adminPort, rpc } = await second.ready();
    expect(await freshGet(httpPort, "app.example.com")).toMatchObject({ status: 200, body: "web" });
    const ready = await answerOf(adminPort, "/readyz?verbose", {});
    expect(ready).toMatchObject({ status: 200, body: expect.stringContaining("stale") });
    expect((await answerOf(adminPort, "/metrics", {})).body).toMatch(
      /^crosspoint_store_stale(?:\{.*\})? 1$/m,
    );
    const again = new Client(rpc);
    onTestFinished(() => again.close());
    await expect(
      again.call("addRoute", { route: routeFields("b.example.com", "web") }),
    ).rejects.toMatchObject({ code: "UNAVAILABLE" });

    await etcd.restart();
    await until(async () => (await answerOf(adminPort, "/healthz", {})).status === 200);
    await again.call("addRoute", { route: routeFields("b.example.com", "web") });
    expect(await freshGet(httpPort, "b.example.com")).toMatchObject({ status: 200, body: "web" });
  });
});

/** What is asked over the network cannot be waited for otherwise. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await nextTurn();
}

function newWorld(): World {
  const directory = mkdtempSync(join(tmpdir(), "crosspoint-etcd-boot-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return {
    directory,
    file(name, content) {
      const path = join(directory, name);
      writeFileSync(path, content);
      return path;
    },
  };
}

test("TLS to an address: nothing but lines of the log on standard error", async () => {
  const world = newWorld();
  const node = new Launched([
    `--store=etcd:${withCertificates.endpoint}`,
    `--etcd-ca=${certificates.caFile}`,
    ...anywhere,
    "--admin=127.0.0.1:0",
    `--state=${world.directory}`,
  ]);
  await node.ready();
  expect(await node.stop()).toBe(0);
  expect(node.err.split("\n").filter((line) => line !== "" && !line.startsWith("{"))).toEqual([]);
});
