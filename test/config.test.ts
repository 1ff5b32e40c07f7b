// Goal: every setting is understood from flag, variable and file alike, in that order of precedence, and
// every wrong one is told by the name of where it was written.

import { describe, expect, test } from "vitest";
import {
  type Config,
  environmentName,
  type HostFacts,
  parseConfig,
  type RawOptions,
  type ServeOption,
  serveOptions,
} from "../src/config.ts";
import { RouterError } from "../src/model/errors.ts";
import { parseServiceName } from "../src/model/names.ts";

function hostWith(files: Readonly<Record<string, string>> = {}): HostFacts {
  return {
    hostname: () => "node-a",
    homedir: () => "/home-of/ada",
    cores: () => 6,
    readFile(path) {
      const text = files[path];
      if (text === undefined) throw new Error(`ENOENT: no such file, open '${path}'`);
      return text;
    },
  };
}

function parsed(options: RawOptions, env: NodeJS.ProcessEnv = {}, yaml?: string): Config {
  if (yaml === undefined) return parseConfig(options, env, hostWith());
  return parseConfig(
    { ...options, config: "/etc/node.yaml" },
    env,
    hostWith({ "/etc/node.yaml": yaml }),
  );
}

function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(RouterError);
    expect((error as RouterError).code).toBe("invalid-argument");
    return (error as RouterError).message;
  }
  throw new Error("nothing was thrown");
}

describe("with no settings at all", () => {
  test("everything has its default", () => {
    expect(parsed({})).toEqual({
      store: { kind: "sqlite", path: "/home-of/ada/.local/state/crosspoint/routes.db" },
      http: [
        { address: "0.0.0.0", port: 8080 },
        { address: "::", port: 8080 },
      ],
      rpc: { kind: "tcp", address: "127.0.0.1", port: 7070 },
      admin: { address: "127.0.0.1", port: 7071 },
      tcpAddresses: ["0.0.0.0", "::"],
      tcpPorts: { first: 3000, last: 3500 },
      workers: 6,
      io: "auto",
      nodeName: "node-a",
      zone: "",
      metricsServices: [],
      drainMs: 30_000,
      stateDir: "/home-of/ada/.local/state/crosspoint",
      accessLog: { kind: "off" },
      trustForwarded: [],
      proxyProtocol: [],
      pages: [],
      via: "crosspoint",
      forwarded: false,
      limits: {},
      discover: [],
      acceptStore: false,
      logFormat: "json",
      demo: false,
    });
  });

  test.for([
    [{ STATE_DIRECTORY: "/var/lib/crosspoint" }, "/var/lib/crosspoint"],
    [{ STATE_DIRECTORY: "/var/lib/a:/var/lib/b" }, "/var/lib/a"],
    [{ STATE_DIRECTORY: "crosspoint" }, "/home-of/ada/.local/state/crosspoint"],
    [{ XDG_STATE_HOME: "/xdg" }, "/xdg/crosspoint"],
    [{ STATE_DIRECTORY: "/var/lib/c", XDG_STATE_HOME: "/xdg" }, "/var/lib/c"],
    // The XDG base directory specification: a relative path is to be ignored.
    [{ XDG_STATE_HOME: "xdg" }, "/home-of/ada/.local/state/crosspoint"],
  ] as const)("the state directory follows the environment: %j", ([env, stateDir]) => {
    const config = parsed({}, env);
    expect(config.stateDir).toBe(stateDir);
    expect(config.store).toEqual({ kind: "sqlite", path: `${stateDir}/routes.db` });
  });
});

// Every row is given as a flag, as a variable and in a file, and means the same each time.
const understood: readonly {
  readonly flag: string;
  readonly text: string | readonly string[];
  readonly means: Partial<Config>;
}[] = [
  { flag: "store", text: "memory:", means: { store: { kind: "memory" } } },
  {
    flag: "store",
    text: "sqlite:/var/r.db",
    means: { store: { kind: "sqlite", path: "/var/r.db" } },
  },
  { flag: "http", text: ["127.0.0.1:0"], means: { http: [{ address: "127.0.0.1", port: 0 }] } },
  {
    flag: "http",
    text: ["0.0.0.0:80", "[::]:80"],
    means: {
      http: [
        { address: "0.0.0.0", port: 80 },
        { address: "::", port: 80 },
      ],
    },
  },
  { flag: "rpc", text: "[::1]:7000", means: { rpc: { kind: "tcp", address: "::1", port: 7000 } } },
  {
    flag: "rpc",
    text: "localhost:1",
    means: { rpc: { kind: "tcp", address: "127.0.0.1", port: 1 } },
  },
  { flag: "rpc", text: "unix:/run/x.sock", means: { rpc: { kind: "unix", path: "/run/x.sock" } } },
  {
    flag: "rpc",
    text: "unix:///run/x.sock",
    means: { rpc: { kind: "unix", path: "/run/x.sock" } },
  },
  { flag: "admin", text: "10.0.0.1:9", means: { admin: { address: "10.0.0.1", port: 9 } } },
  {
    flag: "tcp-address",
    text: ["10.0.0.1", "[::1]", "::"],
    means: { tcpAddresses: ["10.0.0.1", "::1", "::"] },
  },
  { flag: "tcp-ports", text: "5000-5010", means: { tcpPorts: { first: 5000, last: 5010 } } },
  { flag: "tcp-ports", text: "5000", means: { tcpPorts: { first: 5000, last: 5000 } } },
  { flag: "workers", text: "3", means: { workers: 3 } },
  { flag: "io", text: "net", means: { io: "net" } },
  { flag: "io", text: "epoll", means: { io: "epoll" } },
  { flag: "io", text: "uring", means: { io: "uring" } },
  { flag: "io", text: "auto", means: { io: "auto" } },
  { flag: "node-name", text: "edge-1.example", means: { nodeName: "edge-1.example" } },
  { flag: "zone", text: "eu-1a", means: { zone: "eu-1a" } },
  { flag: "metrics-service", text: "web", means: { metricsServices: [parseServiceName("web")] } },
  { flag: "drain", text: "500ms", means: { drainMs: 500 } },
  { flag: "drain", text: "1.5s", means: { drainMs: 1_500 } },
  { flag: "drain", text: "2m", means: { drainMs: 120_000 } },
  { flag: "drain", text: "0", means: { drainMs: 0 } },
  { flag: "state", text: "/srv/x", means: { stateDir: "/srv/x" } },
  { flag: "access-log", text: "off", means: { accessLog: { kind: "off" } } },
  { flag: "access-log", text: "-", means: { accessLog: { kind: "stdout" } } },
  {
    flag: "access-log",
    text: "/var/log/a",
    means: { accessLog: { kind: "file", path: "/var/log/a" } },
  },
  { flag: "sealing-key", text: "/etc/own.key", means: { sealingKeyFile: "/etc/own.key" } },
  {
    flag: "trust-forwarded",
    text: ["10.0.0.0/8", "fd00::/8"],
    means: { trustForwarded: ["10.0.0.0/8", "fd00::/8"] },
  },
  {
    flag: "trust-forwarded",
    text: ["10.1.2.3", "::1"],
    means: { trustForwarded: ["10.1.2.3/32", "::1/128"] },
  },
  {
    flag: "page",
    text: ["503=/srv/sorry.html", "404=/srv/nowhere.txt"],
    means: {
      pages: [
        { status: 503, path: "/srv/sorry.html" },
        { status: 404, path: "/srv/nowhere.txt" },
      ],
    },
  },
  {
    flag: "proxy-protocol",
    text: ["10.0.0.7", "fd00::/8"],
    means: { proxyProtocol: ["10.0.0.7/32", "fd00::/8"] },
  },
  { flag: "via", text: "edge.example:8080", means: { via: "edge.example:8080" } },
  { flag: "via", text: "OFF", means: { via: "off" } },
  { flag: "forwarded", text: "on", means: { forwarded: true } },
  { flag: "forwarded", text: "off", means: { forwarded: false } },
  {
    flag: "limit",
    text: ["head-time=5s", "body-bytes=10MiB"],
    means: { limits: { requestHeadMsMax: 5_000, bodyBytesMax: 10 * 1024 * 1024 } },
  },
  { flag: "log-format", text: "text", means: { logFormat: "text" } },
];

/** In config-etcd.test.ts: they count only together with an etcd. */
const etcdFlags = ["user", "password-file", "ca", "cert", "key"].map((name) => `etcd-${name}`);
etcdFlags.push("accept-store");

describe("a setting", () => {
  test.for(understood)("--$flag $text is understood as a flag", ({ flag, text, means }) => {
    expect(parsed({ [flag]: text })).toMatchObject(means);
  });

  test.for(understood)("--$flag $text is understood as a variable", ({ flag, text, means }) => {
    const value = typeof text === "string" ? text : text.join(", ");
    expect(parsed({}, { [environmentName(flag)]: value })).toMatchObject(means);
  });

  test.for(understood)("--$flag $text is understood in a file", ({ flag, text, means }) => {
    expect(parsed({}, {}, `${flag}: ${JSON.stringify(text)}\n`)).toMatchObject(means);
  });

  test("has a row in the table above, whatever it is", () => {
    const tested = new Set(understood.map(({ flag }) => flag));
    const untested = Object.values<ServeOption>(serveOptions).filter(
      ({ flag }) => !tested.has(flag),
    );
    const elsewhere = ["discover", ...etcdFlags, "demo", "config"];
    expect(untested.map(({ flag }) => flag)).toEqual(elsewhere);
  });

  test("may be a number in a file, and a file may be JSON or empty", () => {
    expect(parsed({}, {}, "workers: 4\ntcp-ports: 4000\n")).toMatchObject({
      workers: 4,
      tcpPorts: { first: 4000, last: 4000 },
    });
    expect(parsed({}, {}, '{"workers": 5}')).toMatchObject({ workers: 5 });
    expect(parsed({}, {}, "# nothing yet\n").workers).toBe(6);
  });

  test("counts as a flag before a variable, a variable before the file, the file before the default", () => {
    const yaml = "workers: 2\ndrain: 2s\nnode-name: of-file\n";
    const env = { CROSSPOINT_WORKERS: "3", CROSSPOINT_DRAIN: "3s" };
    expect(parsed({ workers: "4" }, env, yaml)).toMatchObject({
      workers: 4,
      drainMs: 3_000,
      nodeName: "of-file",
      logFormat: "json",
    });
  });

  test("in an empty variable is as good as none, and CROSSPOINT_CONFIG names a file too", () => {
    expect(parsed({}, { CROSSPOINT_WORKERS: "" }).workers).toBe(6);
    const config = parseConfig(
      {},
      { CROSSPOINT_CONFIG: "/etc/n.yaml" },
      hostWith({ "/etc/n.yaml": "workers: 9" }),
    );
    expect(config.workers).toBe(9);
  });
});

describe("--demo", () => {
  test("keeps routes in memory and writes the access log to standard output", () => {
    expect(parsed({ demo: true })).toMatchObject({
      demo: true,
      store: { kind: "memory" },
      accessLog: { kind: "stdout" },
    });
    expect(parsed({}, { CROSSPOINT_DEMO: "1" }).demo).toBe(true);
    expect(parsed({}, {}, "demo: true").demo).toBe(true);
  });

  test("has one worker, so that its two backends take strict turns, unless told otherwise", () => {
    expect(parsed({ demo: true }).workers).toBe(1);
    expect(parsed({ demo: true, workers: "3" }).workers).toBe(3);
  });

  test("leaves a store and an access log that were asked for", () => {
    const config = parsed({ demo: true, store: "sqlite:/x.db" }, { CROSSPOINT_ACCESS_LOG: "off" });
    expect(config.store).toEqual({ kind: "sqlite", path: "/x.db" });
    expect(config.accessLog).toEqual({ kind: "off" });
  });
});

const refused: readonly (readonly [string, string, RegExp])[] = [
  ["store", "routes.db", /"routes\.db" is not a store: sqlite:PATH, memory: or etcd:http/],
  ["store", "sqlite:", /"sqlite:" is not a store/],
  ["http", "8080", /"8080" is not IP:PORT.*0\.0\.0\.0:8080/],
  ["http", ":8080", /write 0\.0\.0\.0:8080/],
  ["http", "::1:8080", /"::1:8080" is not IP:PORT/],
  ["http", "[127.0.0.1]:80", /is not IP:PORT/],
  ["http", "127.0.0.1:65536", /is not IP:PORT/],
  ["http", "example.com:80", /"example\.com:80" is not IP:PORT/],
  ["rpc", "unix:", /"unix:" is not unix:PATH/],
  ["admin", "", /is not IP:PORT/],
  ["tcp-address", "300.0.0.1", /"300\.0\.0\.1" is not an IP address/],
  ["tcp-ports", "3500-3000", /is not a range of ports/],
  ["tcp-ports", "0-10", /is not a range of ports/],
  ["tcp-ports", "3000-70000", /is not a range of ports/],
  ["workers", "0", /from 1 to/],
  ["workers", "two", /"two" is not a whole number/],
  ["workers", "100000", /from 1 to/],

  ["io", "nett", /did you mean "net"/],
  ["node-name", "a b", /"a b" is not a node name/],
  ["zone", "", /is not a zone/],
  ["metrics-service", "a b", /metrics-service/],
  ["zone", "eu 1", /"eu 1" is not a zone/],
  ["discover", "consul:http://h", /"consul:http:\/\/h" is not etcd:http.* or discoverd:http/],
  ["drain", "30", /"30" is not a duration: write "30s"/],
  ["drain", "-1s", /is not a duration/],
  ["drain", "900h", /at most 24 days/],
  ["trust-forwarded", "10.0.0.0/33", /is not a range of addresses/],
  ["trust-forwarded", "everybody", /is not a range of addresses/],
  ["page", "sorry.html", /is not the status of an error and a file/],
  ["page", "200=fine.html", /is not the status of an error and a file/],
  ["proxy-protocol", "everybody", /is not a range of addresses/],
  ["via", "two words", /"two words" is not off, or a name/],
  ["via", "", /is not off, or a name/],
  ["via", "a\r\nX: y", /is not off, or a name/],
  ["via", "a,b", /is not off, or a name/],
  ["via", "a:b", /is not off, or a name/],
  ["forwarded", "maybe", /"maybe" is neither on nor off/],
  ["log-format", "jsno", /did you mean "json"/],
];

describe("a wrong setting", () => {
  test.for(refused)("--%s %s is told by the name of its flag", ([flag, text, message]) => {
    const told = messageOf(() => parsed({ [flag]: text }));
    expect(told).toMatch(message);
    expect(told.startsWith(`--${flag}: `)).toBe(true);
  });

  test("is told by the name of its variable, or by file, line and key", () => {
    expect(messageOf(() => parsed({}, { CROSSPOINT_TCP_PORTS: "x" }))).toMatch(
      /^CROSSPOINT_TCP_PORTS: "x"/,
    );
    expect(messageOf(() => parsed({}, {}, "workers: 2\nio: fast\n"))).toMatch(
      /^\/etc\/node\.yaml:2: io: "fast"/,
    );
  });

  test("is found although a flag of the same name is right: the file is read whole", () => {
    expect(messageOf(() => parsed({ workers: "2" }, {}, "wrokers: 2"))).toContain("wrokers");
  });

  test.for([
    ["wrokers: 2", /^\/etc\/node\.yaml:1: "wrokers" is not a setting; did you mean "workers"\?$/],
    ["io: net\ntcpPorts: 1-2", /^\/etc\/node\.yaml:2: "tcpPorts" .*did you mean "tcp-ports"/],
    ["config: other.yaml", /"config" is not a setting/],
    ["zzz: 1", /"zzz" is not a setting; known are store, http/],
    ["workers:", /^\/etc\/node\.yaml:1: workers: is not a text, a number or a list/],
    ["workers: {a: 1}", /workers: is not a text/],
    ["workers: [1, 2]", /workers: takes one value/],
    ["- workers", /^\/etc\/node\.yaml: is not a list of/],
    ["workers: 1\nworkers: 2", /^\/etc\/node\.yaml:2: .*unique/],
    ['{"workers": 1,', /^\/etc\/node\.yaml:1: /],
    ["demo: perhaps", /demo: "perhaps" is neither on nor off/],
  ] as const)("in a file is told with its line: %j", ([yaml, message]) => {
    expect(messageOf(() => parsed({}, {}, yaml))).toMatch(message);
  });

  test("and so is a file that is not there, with the flag that named it", () => {
    expect(messageOf(() => parsed({ config: "/nowhere.yaml" }))).toMatch(
      /^--config: ENOENT.*\/nowhere\.yaml/,
    );
  });

  test.for([
    [
      { http: ["127.0.0.1:80", "127.0.0.1:80"] },
      /^--http: 127\.0\.0\.1:80 is already the address of --http/,
    ],
    [{ rpc: "127.0.0.1:7071" }, /^--admin: 127\.0\.0\.1:7071 is already the address of --rpc/],
    [{ http: ["[::1]:7"], admin: "[::1]:7" }, /^--admin: \[::1\]:7 is already/],
  ] as const)("is an address twice: %j", ([options, message]) => {
    expect(messageOf(() => parsed(options))).toMatch(message);
  });

  test("is not port 0 twice: each gets a port of its own", () => {
    expect(
      parsed({ http: ["127.0.0.1:0", "127.0.0.1:0"], rpc: "127.0.0.1:0", admin: "127.0.0.1:0" })
        .http,
    ).toHaveLength(2);
  });
});
