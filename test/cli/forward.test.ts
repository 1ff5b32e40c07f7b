// Goal: whoever started etcd-netfw starts this with the same words, and wrong words say which and why.
// Method: words through the real parser to the Config that a node would get; nothing is opened.

import { describe, expect, test } from "vitest";
import { dispatch } from "../../src/cli/commander.ts";
import { forwardCommand, todaysWords } from "../../src/cli/commands/forward.ts";
import { terminalOf } from "../../src/cli/terminal.ts";
import type { Config } from "../../src/config.ts";

interface Forwarded {
  readonly status: number;
  readonly stderr: string;
  readonly config: Config | undefined;
}

async function forward(words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Forwarded> {
  let stderr = "";
  let config: Config | undefined;
  const err = { write: (text: string) => void (stderr += text) };
  const command = forwardCommand(async (told) => {
    config = told;
    return 0;
  });
  const terminal = terminalOf({ write: () => {} }, err, {});
  const status = await dispatch([command], ["forward", ...words], { terminal, env, version: "0" });
  return { status, stderr, config };
}

const etcdOf = ({ config }: Forwarded): readonly string[] =>
  config?.discover[0]?.etcd.endpoints ?? [];
const path = ["--service-path", "/services/postgres/"] as const;

describe("a forwarder", () => {
  test("is a node in memory with one port, one service and its folder", async () => {
    const { config, stderr } = await forward([
      "--accept=127.0.0.1:5432",
      "--etcd=http://10.0.0.5:2379",
      "--service-path=/services/postgres/",
    ]);
    expect(stderr).toBe("");
    expect(config).toMatchObject({
      store: { kind: "memory" },
      http: [],
      tcpAddresses: ["127.0.0.1"],
      tcpPorts: { first: 5432, last: 5432 },
      forward: { service: "postgres", port: 5432 },
      workers: 1,
      drainMs: 0,
      accessLog: { kind: "stdout" },
      demo: false,
    });
    expect(config?.discover).toEqual([
      {
        kind: "etcd",
        prefix: "/services/postgres/",
        service: "postgres",
        etcd: {
          endpoints: ["http://10.0.0.5:2379"],
          user: undefined,
          password: undefined,
          passwordFile: undefined,
          caFile: undefined,
          certFile: undefined,
          keyFile: undefined,
        },
      },
    ]);
  });

  test("listens where etcd-netfw did, and asks etcd where it is today", async () => {
    const forwarded = await forward(path);
    expect(forwarded.config).toMatchObject({
      tcpAddresses: ["0.0.0.0"],
      forward: { port: 1337 },
    });
    expect(etcdOf(forwarded)).toEqual(["http://127.0.0.1:2379"]);
  });

  test("takes the settings that it shares with serve, as flags and as variables", async () => {
    const flags = ["--workers=3", "--drain=5s", "--access-log=off", "--log-format=text"];
    const { config } = await forward([...path, ...flags, "--state=/tmp/x", "--etcd=http://u:p@a"]);
    expect(config).toMatchObject({
      workers: 3,
      drainMs: 5_000,
      accessLog: { kind: "off" },
      logFormat: "text",
      stateDir: "/tmp/x",
    });
    expect(config?.discover[0]?.etcd.user).toBe("u");
    const env = { CROSSPOINT_WORKERS: "2", CROSSPOINT_DRAIN: "", STATE_DIRECTORY: "/tmp/y" };
    expect((await forward(path, env)).config).toMatchObject({
      workers: 2,
      drainMs: 0,
      stateDir: "/tmp/y",
    });
  });

  test("does not take what clients and nodes are told by the environment for its own", async () => {
    const env = {
      CROSSPOINT_RPC: "10.9.9.9:7070",
      CROSSPOINT_STORE: "sqlite:/nowhere",
      CROSSPOINT_DISCOVER: "etcd:http://10.9.9.9:2379",
      CROSSPOINT_DEMO: "true",
      CROSSPOINT_CONFIG: "/nowhere",
      CROSSPOINT_HTTP: "nonsense",
    };
    const { config } = await forward(path, env);
    expect(config).toEqual((await forward(path)).config);
  });

  test("opens ports for RPC and admin only when asked", async () => {
    const { config } = await forward(path);
    expect(config).toMatchObject({ rpc: undefined, admin: undefined });
    const asked = await forward([...path, "--rpc=0.0.0.0:8080", "--admin=0.0.0.0:7070"]);
    expect(asked.config).toMatchObject({
      rpc: { kind: "tcp", address: "0.0.0.0", port: 8080 },
      admin: { address: "0.0.0.0", port: 7070 },
    });
  });
});

describe("etcd-netfw's words", () => {
  test.for([
    ["-a 1.2.3.4:5", "--accept=1.2.3.4:5"],
    ["-a=1.2.3.4:5", "--accept=1.2.3.4:5"],
    ["--a=1.2.3.4:5", "--accept=1.2.3.4:5"],
    ["-acceptAddr 1.2.3.4:5", "--accept=1.2.3.4:5"],
    ["-acceptAddr=1.2.3.4:5", "--accept=1.2.3.4:5"],
    ["--acceptAddr 1.2.3.4:5", "--accept=1.2.3.4:5"],
    ["-etcdAddress http://a:1,http://b:2", "--etcd=http://a:1,http://b:2"],
    ["-etcdAddress=http://a:1/", "--etcd=http://a:1/"],
    ["-servicePath /services/web", "--service-path=/services/web"],
    ["-servicePath=/services/a=b", "--service-path=/services/a=b"],
    ["-servicePath= ", "--service-path= "],
    ["-servicePath -a", "--service-path=-a"],
    ["-servicePath", "--service-path"],
    ["--accept 1.2.3.4:5 --drain 1s", "--accept 1.2.3.4:5 --drain 1s"],
    ["-h", "-h"],
    ["-toString x", "-toString x"],
    ["-accept x", "-accept x"],
    ["-- -a x", "-- -a x"],
    ["", ""],
  ] as const)("%s is %s", ([old, today]) => {
    // The one case with a blank in it is no list of words.
    const words = old.endsWith("= ") ? [old] : old.split(" ");
    expect(todaysWords(words).join(" ")).toBe(today);
  });

  test("start the same forwarder", async () => {
    const old = ["-a", "127.0.0.1:1337", "-etcdAddress", "http://a:4001/", "-servicePath"];
    const today = ["--accept=127.0.0.1:1337", "--etcd=http://a:4001", "--service-path"];
    const [one, other] = [await forward([...old, "/s/web"]), await forward([...today, "/s/web/"])];
    expect(one).toEqual(other);
    expect(one).toMatchObject({ status: 0, stderr: "" });
    expect(etcdOf(one)).toEqual(["http://a:4001"]);
  });

  test("mean nothing to other commands", async () => {
    const { status, stderr } = await forward(["-unknown", "x", ...path]);
    expect(status).toBe(2);
    expect(stderr).toContain("unknown option '-unknown'");
  });
});

describe("what is written in several ways", () => {
  test.for([
    ["http://a:1, http://b:2 ", ["http://a:1", "http://b:2"]],
    ["http://a:1/,http://b:2//", ["http://a:1", "http://b:2"]],
    ["http://a,b:2", ["http://a:2379", "http://b:2"]],
    ["https://a,", ["https://a:2379"]],
    ["http://[::1]:4001/", ["http://[::1]:4001"]],
    ["", ["http://127.0.0.1:2379"]],
    [" , ", ["http://127.0.0.1:2379"]],
  ] as const)("--etcd %j", async ([text, endpoints]) => {
    expect(etcdOf(await forward([`--etcd=${text}`, ...path]))).toEqual(endpoints);
  });

  test("--etcd more than once", async () => {
    const forwarded = await forward(["--etcd=http://a:1", "--etcd=http://b:2", ...path]);
    expect(etcdOf(forwarded)).toEqual(["http://a:1", "http://b:2"]);
  });

  test.for([
    ["/services/postgres", "/services/postgres/", "postgres"],
    ["/services/postgres/", "/services/postgres/", "postgres"],
    ["/services/postgres//", "/services/postgres/", "postgres"],
    ["services/postgres", "/services/postgres/", "postgres"],
    ["postgres", "/postgres/", "postgres"],
    ["/services/_odd_", "/services/_odd_/", "forward"],
  ] as const)("--service-path %s", async ([text, prefix, service]) => {
    const { config } = await forward(["--service-path", text]);
    expect(config?.discover[0]).toMatchObject({ prefix, service });
    expect(config?.forward).toEqual({ service, port: 1337 });
  });

  test.for([
    ["127.0.0.1:0", ["127.0.0.1"], 0],
    ["localhost:1", ["127.0.0.1"], 1],
    ["[::]:1337", ["::"], 1337],
    [":1337", ["0.0.0.0", "::"], 1337],
    ["*:1337", ["0.0.0.0", "::"], 1337],
  ] as const)("--accept %s", async ([text, addresses, port]) => {
    const { config } = await forward(["-a", text, ...path]);
    expect(config).toMatchObject({ tcpAddresses: addresses, forward: { port } });
    expect(config?.tcpPorts.first).toBe(port === 0 ? 3000 : port);
  });
});

describe("wrong words", () => {
  test.for([
    ["", "required option '--service-path <PATH>' not specified"],
    ["--service-path /", '--service-path: "/" is not a folder of etcd: write /services/NAME'],
    ["--service-path /a//b", '--service-path: "/a//b" is not a folder'],
    ["--service-path /a,b", '--service-path: "/a,b" is not a folder'],
    ["--service-path /é", '--service-path: "/é" is not a folder'],
    ["--service-path", "option '--service-path <PATH>' argument missing"],
    ["-servicePath", "option '--service-path <PATH>' argument missing"],
    ["-servicePath /a -a 1337", '--accept: "1337" is not IP:PORT'],
    ["-servicePath /a -a :65536", '--accept: "0.0.0.0:65536" is not IP:PORT'],
    ["-servicePath /a -a example.com:1", '--accept: "example.com:1" is not IP:PORT'],
    ["-servicePath /a --etcd 10.0.0.5:2379", "--etcd: "],
    ["-servicePath /a --etcd http://a:1/v2/keys", '--etcd: "/v2/keys" is no part of an address'],
    ["-servicePath /a --etcd http://a:1,https://b:1", "--etcd: "],
    ["-servicePath /a --workers 0", "--workers: "],
    ["-servicePath /a --drain soon", "--drain: "],
    ["-servicePath /a --etcd-key k", "--etcd-key"],
    ["-servicePath /a web", "too many arguments"],
  ] as const)("%j ends with status 2 and %s", async ([words, message]) => {
    const { status, stderr, config } = await forward(words.split(" ").filter(Boolean));
    expect({ status, config }).toEqual({ status: 2, config: undefined });
    expect(stderr).toContain(message);
  });

  test("never show a password", async () => {
    for (const etcd of ["http://u:secret@a:1/x", "http://u:secret@a b", "u:secret@a"]) {
      const { status, stderr } = await forward(["--etcd", etcd, ...path]);
      expect(status).toBe(2);
      expect(stderr).not.toContain("secret");
    }
  });
});
