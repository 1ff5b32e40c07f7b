// Goal: whatever is wrong with an endpoint, the message names it, the cause and what to do, and never the password.
// Method: real programs on real ports that are not the etcd that was meant.

import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { EtcdClient } from "../../src/etcd/client.ts";
import { realSystem } from "../../src/system.ts";
import {
  always,
  failureOf,
  openClient,
  put,
  settingOf,
  WatchRecord,
} from "../support/etcd-client.ts";
import { freePorts, startEtcd } from "../support/etcd-server.ts";
import { startForeignEtcd } from "../support/foreign-etcd.ts";
import { until } from "../support/until.ts";

async function listening(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A program that does `action` with each connection. */
async function program(action: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
  });
  return listening(
    createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      action(socket);
    }),
  );
}

async function foreign(version: string | undefined): Promise<string> {
  const server = await startForeignEtcd(version);
  onTestFinished(() => server.stop());
  return server.endpoint;
}

const cases: readonly {
  readonly what: string;
  readonly endpoint: () => Promise<string>;
  readonly reason: string;
  readonly says: RegExp;
}[] = [
  {
    what: "a port that nobody has",
    endpoint: async () => `http://127.0.0.1:${(await freePorts(1))[0]}`,
    reason: "ETCD_UNREACHABLE",
    says: /refuses the connection \(ECONNREFUSED\): is it running/,
  },
  {
    what: "a name that does not exist",
    endpoint: () => Promise.resolve("http://nowhere.invalid:2379"),
    reason: "ETCD_UNREACHABLE",
    says: /name that cannot be resolved: check its spelling and the DNS/,
  },
  {
    what: "a web server",
    endpoint: () => listening(createHttpServer((_, answer) => answer.end("hello"))),
    reason: "ETCD_VERSION",
    says: /answers, but not as an etcd .*is this its client port\?/,
  },
  {
    what: "a program that hangs up at once",
    endpoint: () => program((socket) => socket.end()),
    reason: "ETCD_UNREACHABLE",
    says: /closes the connection at once: if it speaks TLS, write https/,
  },
  {
    what: "a program that resets",
    endpoint: () => program((socket) => socket.resetAndDestroy()),
    reason: "ETCD_UNREACHABLE",
    says: /cannot be reached \(.*ECONNRESET/,
  },
  {
    what: "a plain port that was written https",
    endpoint: async () => {
      const endpoint = await program((socket) => socket.once("data", () => socket.end()));
      return endpoint.replace("http:", "https:");
    },
    reason: "ETCD_UNREACHABLE",
    says: /does not speak TLS: write http:/,
  },
  {
    what: "a gRPC server that is no etcd",
    endpoint: () => foreign(undefined),
    reason: "ETCD_VERSION",
    says: /does not know etcd's version 3 calls .*is this its client port\?/,
  },
  {
    what: "an etcd of version 3.2",
    endpoint: () => foreign("3.2.0"),
    reason: "ETCD_VERSION",
    says: /is version 3\.2\.0: Crosspoint needs etcd 3\.4 or later/,
  },
  {
    what: "an etcd without a version",
    endpoint: () => foreign(""),
    reason: "ETCD_VERSION",
    says: /gives no version/,
  },
];

describe("an endpoint that is", () => {
  test.for(cases)("$what is named with cause and remedy", async ({ endpoint, reason, says }) => {
    const url = await endpoint();
    const etcd = await openClient(url);
    for (const call of [etcd.range({ key: "k" }), put(etcd, "k", "v"), etcd.grantLease(5)]) {
      const error = await failureOf(call);
      expect([error.code, error.details.reason]).toEqual(["store-unavailable", reason]);
      expect(error.message).toMatch(says);
      expect(error.message).toContain(`etcd ${url} `);
      expect(error.details.metadata?.["applied"], "nothing was sent").toBe("no");
    }
    const watch = new WatchRecord(etcd, { key: "k", startRevision: 1 });
    await until(() => watch.cause !== undefined, "the watch to end");
    expect(watch.cause?.message).toMatch(says);
    expect(watch.messages).toEqual([]);
  });

  test.for(["3.4.0", "3.5.21", "3.6.0-rc.1", "3.10.2", "4.0.0"])(
    "an etcd of version %s is called",
    async (version) => {
      const etcd = await openClient(await foreign(version));
      const error = await failureOf(etcd.range({ key: "k" }));
      // The server knows no range: the call was made.
      expect(error.message).toContain("does not know etcd's version 3 calls");
    },
  );
});

test("a program that accepts and never answers takes one attempt, then the next endpoint answers", async () => {
  const silent = await program(() => {});
  const server = await startEtcd();
  onTestFinished(() => server.stop());
  const etcd = await openClient([silent, server.endpoint]);
  const startedMs = performance.now();
  const [range, written] = await Promise.all([etcd.range({ key: "k" }), put(etcd, "k", "v")]);
  expect(range.header.clusterId).toBe(written.header.clusterId);
  expect(performance.now() - startedMs).toBeLessThan(4_500);
});

test("a lone program that never answers is a timeout that names the time", async () => {
  const silent = await program(() => {});
  const etcd = await openClient(silent);
  const watch = new WatchRecord(etcd, { key: "k", startRevision: 1 });
  const error = await failureOf(etcd.range({ key: "k" }));
  expect(error.details.reason).toBe("ETCD_TIMEOUT");
  expect(error.message).toContain(`etcd ${silent} did not answer within 5 s`);
  await until(() => watch.cause !== undefined, "the watch to end");
  expect(watch.cause?.details.reason).toBe("ETCD_TIMEOUT");
});

test("a full database is named with its remedy, and reads go on", async () => {
  const server = await startEtcd({ extraArgs: ["--quota-backend-bytes=4194304"] });
  onTestFinished(() => server.stop());
  const etcd = await openClient(server.endpoint);
  const value = "x".repeat(1_000_000);
  const fill = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await put(etcd, `k${i}`, value);
  };
  const error = await failureOf(fill());
  expect([error.code, error.details.reason]).toEqual(["resource-exhausted", "ETCD_NOSPACE"]);
  expect(error.message).toMatch(/quota is used up .*compact and defragment.*alarm disarm/);
  expect((await etcd.range({ key: "k0" })).kvs).toHaveLength(1);
});

test("of several endpoints that fail, each is named with its own cause", async () => {
  const [port = 0] = await freePorts(1);
  const refused = `http://127.0.0.1:${port}`;
  const old = await foreign("3.3.25");
  const error = await failureOf((await openClient([refused, old])).range({ key: "k" }));
  expect(error.message).toContain(`etcd ${refused} refuses the connection`);
  expect(error.message).toContain(`etcd ${old} is version 3.3.25`);
});

describe("a client", () => {
  test("opens without a network, and says what it is called", async () => {
    const endpoints = ["http://nowhere.invalid:2379", "https://nowhere.invalid:2380"];
    const etcd = await openClient(endpoints);
    expect(etcd.name).toBe("http://nowhere.invalid:2379,https://nowhere.invalid:2380");
  });

  test.for([
    ["no endpoint", settingOf([])],
    ["an endpoint without a port", settingOf("http://h")],
    ["an endpoint with a password", settingOf("http://root:secret@h:2379")],
    ["another scheme", settingOf("unix:/run/etcd")],
    ["a user without a password", settingOf("http://h:2379", { user: "root" })],
  ] as const)("does not open with %s", async ([, setting]) => {
    const error = await failureOf(EtcdClient.open(setting, realSystem));
    expect(error.code).toBe("invalid-argument");
    expect(error.message).not.toContain("secret");
  });

  test("that is closed refuses calls and watches, and ends those that run, without a word to cancelled watches", async () => {
    const silent = await program(() => {});
    const etcd = await openClient(silent);
    const running = failureOf(etcd.transact(always({ kind: "range", key: "k" })));
    const watch = new WatchRecord(etcd, { key: "k", startRevision: 1 });
    await etcd.close();
    expect((await running).code).toBe("cancelled");
    expect((await failureOf(etcd.status())).code).toBe("cancelled");
    const late = new WatchRecord(etcd, { key: "k", startRevision: 1 });
    await until(() => late.cause !== undefined, "the late watch");
    expect(late.cause?.code).toBe("cancelled");
    expect(watch.causes).toEqual([]);
  });
});
