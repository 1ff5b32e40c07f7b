// Settings: flags, environment and file to one checked Config.
//
// Precedence: flags, CROSSPOINT_* environment, --config FILE, defaults. Opens nothing but that file, so
// a wrong setting is told before anything is bound. `serveOptions` is the one table of settings: the
// command line, the environment, the file, --help and the documents follow it.

import { readFileSync } from "node:fs";
import { availableParallelism, homedir, hostname } from "node:os";
import { isAbsolute, join } from "node:path";
import * as z from "zod";
import {
  type AccessLogSetting,
  type DiscoverSetting,
  type ListenAddress,
  later,
  type PortRange,
  parseAccessLog,
  parseChoice,
  parseCidr,
  parseCount,
  parseDuration,
  parseIpAddress,
  parseListenAddress,
  parseNodeName,
  parsePath,
  parsePortRange,
  parseRpcAddress,
  parseStore,
  type RpcAddress,
  type StoreSetting,
} from "./config-values.ts";
import { workersMax } from "./limits.ts";
import { invalidField, RouterError } from "./model/errors.ts";
import { didYouMean } from "./nearest.ts";
import { parseYaml } from "./yaml.ts";

export type { ListenAddress };

/** Everything a node is told when it starts. */
export interface Config {
  readonly store: StoreSetting;
  /** HTTP listeners. */
  readonly http: readonly ListenAddress[];
  readonly rpc: RpcAddress;
  readonly admin: ListenAddress;
  /** Where TCP routes listen; without brackets. */
  readonly tcpAddresses: readonly string[];
  /** Where the ports of TCP routes that name none come from; both ends included. */
  readonly tcpPorts: PortRange;
  readonly workers: number;
  readonly io: "auto" | "net";
  readonly nodeName: string;
  /** How long open work may take on SIGTERM, in ms. */
  readonly drainMs: number;
  /** Absolute. */
  readonly stateDir: string;
  readonly accessLog: AccessLogSetting;
  /** CIDR ranges whose forwarding fields are kept. */
  readonly trustForwarded: readonly string[];
  /** Where backends come from besides the API. */
  readonly discover: readonly DiscoverSetting[];
  /** Takes what the etcd store holds at the start, whatever this node knows of it. */
  readonly acceptStore: boolean;
  readonly logFormat: "json" | "text";
  readonly demo: boolean;
}

/** A row of the table of settings. */
export interface ServeOption<T = unknown> {
  /** "tcp-ports": the flag --tcp-ports, the variable CROSSPOINT_TCP_PORTS, the key tcp-ports. */
  readonly flag: string;
  /** What stands for the value in --help; undefined: a switch. */
  readonly value: string | undefined;
  readonly help: string;
  /** The default, in words; "" for none. */
  readonly fallback: string;
  /** Given more than once, or as a list; separated by commas in the environment. */
  readonly repeatable: boolean;
  /** Accepted and answered, but not in --help. */
  readonly hidden?: boolean;
  /** Texts to value; throws "invalid-argument" naming `source`. */
  read(texts: readonly string[], source: string): T;
}

/** Flag to what the command line gave: a switch is true. */
export type RawOptions = Readonly<Record<string, string | readonly string[] | boolean | undefined>>;

/** What the machine says about itself; tests bring their own. */
export interface HostFacts {
  hostname(): string;
  homedir(): string;
  cores(): number;
  readFile(path: string): string;
}

export const serveOptions = {
  store: one("store", "URL", "where routes live: sqlite:PATH or memory:", parseStore, {
    fallback: "sqlite:routes.db in the state directory",
  }),
  http: many("http", "IP:PORT", "HTTP listener", parseListenAddress, {
    fallback: "0.0.0.0:8080 and [::]:8080",
  }),
  rpc: one("rpc", "ADDR", "gRPC: IP:PORT or unix:PATH", parseRpcAddress, {
    fallback: "127.0.0.1:7070",
  }),
  admin: one("admin", "IP:PORT", "health, metrics, table", parseListenAddress, {
    fallback: "127.0.0.1:7071",
  }),
  tcpAddress: many("tcp-address", "IP", "where TCP routes listen", parseIpAddress, {
    fallback: "0.0.0.0 and [::]",
  }),
  tcpPorts: one("tcp-ports", "FIRST-LAST", "ports for TCP routes that name none", parsePortRange, {
    fallback: "3000-3500",
  }),
  workers: one(
    "workers",
    "N",
    "worker threads",
    (text, source) => parseCount(text, source, workersMax),
    { fallback: "one per core; with --demo one, so that the samples take strict turns" },
  ),
  io: one("io", "KIND", "how workers do their input and output: auto or net", parseIo, {
    fallback: "auto",
  }),
  nodeName: one("node-name", "NAME", "what this node is called", parseNodeName, {
    fallback: "the host's name",
  }),
  discover: many("discover", "URL", "where backends come from besides the API", parseDiscover, {
    hidden: true,
  }),
  drain: one("drain", "DURATION", "how long open work may take on SIGTERM", parseDuration, {
    fallback: "30s",
  }),
  state: one("state", "DIR", "where the node keeps its files", parsePath, {
    fallback: "$STATE_DIRECTORY, $XDG_STATE_HOME/crosspoint or ~/.local/state/crosspoint",
  }),
  accessLog: one("access-log", "DEST", "off, - (standard output) or a file", parseAccessLog, {
    fallback: "off",
  }),
  trustForwarded: many(
    "trust-forwarded",
    "CIDR",
    "whose X-Forwarded-* and X-Request-* fields are kept",
    parseCidr,
    { fallback: "nobody's" },
  ),
  logFormat: one(
    "log-format",
    "FORMAT",
    "of the log on standard error: json or text",
    (text, source) => parseChoice(text, source, ["json", "text"] as const),
    { fallback: "json" },
  ),
  demo: one("demo", undefined, "two sample backends at http://demo.localhost", parseSwitch, {}),
  config: one("config", "FILE", "these settings as YAML or JSON, by the same names", parsePath, {}),
} as const satisfies Readonly<Record<string, ServeOption>>;

/** Settings to a Config. Throws one "invalid-argument" that names the flag, variable or key and its value. */
export function parseConfig(
  options: RawOptions,
  env: NodeJS.ProcessEnv,
  host: HostFacts = realHost,
): Config {
  const given = settle(options, env, host);
  const value = <T>(option: ServeOption<T>): T | undefined => {
    const found = given.get(option.flag);
    return found === undefined ? undefined : option.read(found.texts, found.source);
  };
  const demo = value(serveOptions.demo) ?? false;
  const stateDir = value(serveOptions.state) ?? stateDirectory(env, host);
  const http = value(serveOptions.http) ?? [
    { address: "0.0.0.0", port: 8080 },
    { address: "::", port: 8080 },
  ];
  const config: Config = {
    store:
      value(serveOptions.store) ??
      (demo ? { kind: "memory" } : { kind: "sqlite", path: join(stateDir, "routes.db") }),
    http,
    rpc: value(serveOptions.rpc) ?? { kind: "tcp", address: "127.0.0.1", port: 7070 },
    admin: value(serveOptions.admin) ?? { address: "127.0.0.1", port: 7071 },
    tcpAddresses: value(serveOptions.tcpAddress) ?? ["0.0.0.0", "::"],
    tcpPorts: value(serveOptions.tcpPorts) ?? { first: 3000, last: 3500 },
    workers: value(serveOptions.workers) ?? (demo ? 1 : Math.min(host.cores(), workersMax)),
    io: value(serveOptions.io) ?? "auto",
    nodeName: value(serveOptions.nodeName) ?? host.hostname(),
    drainMs: value(serveOptions.drain) ?? 30_000,
    stateDir,
    accessLog: value(serveOptions.accessLog) ?? { kind: demo ? "stdout" : "off" },
    trustForwarded: value(serveOptions.trustForwarded) ?? [],
    discover: value(serveOptions.discover) ?? [],
    acceptStore: false,
    logFormat: value(serveOptions.logFormat) ?? "json",
    demo,
  };
  refuseDoubles(config);
  return config;
}

/** CROSSPOINT_TCP_PORTS for "tcp-ports". */
export function environmentName(flag: string): string {
  return `CROSSPOINT_${flag.toUpperCase().replaceAll("-", "_")}`;
}

interface Given {
  readonly texts: readonly string[];
  /** "--http", "CROSSPOINT_HTTP" or "node.yaml:3: http". */
  readonly source: string;
}

/** What was given for each flag by whoever has precedence. */
function settle(options: RawOptions, env: NodeJS.ProcessEnv, host: HostFacts): Map<string, Given> {
  const given = new Map<string, Given>();
  for (const option of Object.values<ServeOption>(serveOptions)) {
    const found = fromFlag(option, options) ?? fromEnvironment(option, env);
    if (found !== undefined) given.set(option.flag, found);
  }
  const config = given.get(serveOptions.config.flag);
  if (config === undefined) return given;
  const path = serveOptions.config.read(config.texts, config.source);
  for (const [flag, found] of readConfigFile(path, config.source, host)) {
    if (!given.has(flag)) given.set(flag, found);
  }
  return given;
}

function fromFlag(option: ServeOption, options: RawOptions): Given | undefined {
  const raw = options[option.flag];
  if (raw === undefined) return undefined;
  return { texts: textsOf(raw), source: `--${option.flag}` };
}

/** An empty variable is as good as none: that is how unit files and compose files unset one. */
function fromEnvironment(option: ServeOption, env: NodeJS.ProcessEnv): Given | undefined {
  const source = environmentName(option.flag);
  const text = env[source];
  if (text === undefined || text === "") return undefined;
  return { texts: option.repeatable ? text.split(",").map((part) => part.trim()) : [text], source };
}

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const setting = z.union([scalar, z.array(scalar).min(1)]);

/** The keys of a configuration file: every flag but --config itself. */
function fileKeys(): string[] {
  return Object.values<ServeOption>(serveOptions)
    .map(({ flag }) => flag)
    .filter((flag) => flag !== serveOptions.config.flag);
}

function readConfigFile(path: string, source: string, host: HostFacts): Map<string, Given> {
  const file = parseYaml(readText(path, source, host), path);
  const keys = fileKeys();
  const schema = z.strictObject(Object.fromEntries(keys.map((key) => [key, setting.optional()])));
  const checked = schema.safeParse(file.value ?? {});
  const issue = checked.error?.issues[0];
  if (issue?.code === "unrecognized_keys") {
    const key = issue.keys[0] ?? "";
    throw invalidField(
      `${path}:${file.lineOf([key])}`,
      `${JSON.stringify(key)} is not a setting${didYouMean(key, keys)}`,
    );
  }
  if (issue !== undefined) {
    const key = issue.path[0];
    if (typeof key !== "string")
      throw invalidField(path, "is not a list of `setting: value` lines");
    throw invalidField(
      `${path}:${file.lineOf([key])}: ${key}`,
      "is not a text, a number or a list",
    );
  }
  return new Map(
    Object.entries(checked.data ?? {}).flatMap(([key, raw]) =>
      raw === undefined
        ? []
        : [[key, { texts: textsOf(raw), source: `${path}:${file.lineOf([key])}: ${key}` }]],
    ),
  );
}

function readText(path: string, source: string, host: HostFacts): string {
  try {
    return host.readFile(path);
  } catch (reason) {
    throw new RouterError("invalid-argument", `${source}: ${RouterError.from(reason).message}`);
  }
}

function textsOf(raw: unknown): string[] {
  return Array.isArray(raw) ? raw.map(String) : [String(raw)];
}

/** systemd's, else the XDG base directory's (which counts only when absolute), else its default. */
function stateDirectory(env: NodeJS.ProcessEnv, host: HostFacts): string {
  const ofUnit = env["STATE_DIRECTORY"]?.split(":")[0] ?? "";
  if (isAbsolute(ofUnit)) return ofUnit;
  const ofUser = env["XDG_STATE_HOME"] ?? "";
  const base = isAbsolute(ofUser) ? ofUser : join(host.homedir(), ".local", "state");
  return join(base, "crosspoint");
}

/** The same address twice would only fail later, when it is bound, and less readably. */
function refuseDoubles(config: Config): void {
  const seen = new Map<string, string>();
  const claim = (what: string, { address, port }: ListenAddress): void => {
    const key = `${address} ${port}`;
    const other = seen.get(key);
    if (port !== 0 && other !== undefined) {
      const shown = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
      throw invalidField(what, `${shown} is already the address of ${other}`);
    }
    seen.set(key, what);
  };
  for (const address of config.http) claim("--http", address);
  if (config.rpc.kind === "tcp") claim("--rpc", config.rpc);
  claim("--admin", config.admin);
}

function parseIo(text: string, source: string): "auto" | "net" {
  if (text === "uring") throw later(source, text, "auto and net");
  return parseChoice(text, source, ["auto", "net"]);
}

function parseDiscover(text: string, source: string): never {
  throw later(source, text, "`crosspoint backend add SERVICE HOST:PORT` and RegisterBackend");
}

function parseSwitch(text: string, source: string): boolean {
  if (/^(?:true|1|yes|on)$/i.test(text)) return true;
  if (/^(?:false|0|no|off)$/i.test(text)) return false;
  throw invalidField(source, `${JSON.stringify(text)} is neither true nor false`);
}

interface Extra {
  readonly fallback?: string;
  readonly hidden?: boolean;
}

/** A setting with one value. */
function one<T>(
  flag: string,
  value: string | undefined,
  help: string,
  parse: (text: string, source: string) => T,
  { fallback = "", hidden = false }: Extra,
): ServeOption<T> {
  const read = (texts: readonly string[], source: string): T => {
    const [text, ...more] = texts;
    if (text === undefined || more.length > 0) throw invalidField(source, "takes one value");
    return parse(text, source);
  };
  return { flag, value, help, fallback, hidden, repeatable: false, read };
}

/** A setting that may be given more than once. */
function many<T>(
  flag: string,
  value: string,
  help: string,
  parse: (text: string, source: string) => T,
  { fallback = "", hidden = false }: Extra,
): ServeOption<readonly T[]> {
  const read = (texts: readonly string[], source: string): T[] =>
    texts.map((text) => parse(text, source));
  return { flag, value, help, fallback, hidden, repeatable: true, read };
}

const realHost: HostFacts = {
  hostname,
  homedir,
  cores: availableParallelism,
  readFile: (path) => readFileSync(path, "utf8"),
};
