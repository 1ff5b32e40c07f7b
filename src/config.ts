// Settings: flags, environment and file to one checked Config.
//
// Precedence: flags, CROSSPOINT_* environment, --config FILE, defaults. Opens nothing but that file, so
// a wrong setting is told before anything is bound. `serveOptions` is the one table of settings: the
// command line, the environment, the file, --help and the documents follow it.

import { join } from "node:path";
import { type EtcdOptions, type Told, withEtcdOptions } from "./config-etcd.ts";
import { type Given, readConfigFile, textsOf } from "./config-file.ts";
import { type HostFacts, realHost, stateDirectory } from "./config-host.ts";
import { type LimitSettings, limitOption } from "./config-limits.ts";
import { atMost, many, one, parseSwitch, type ServeOption, turned } from "./config-option.ts";
import {
  type AccessLogSetting,
  type DiscoverSetting,
  discoverSeparator,
  type IoSetting,
  type ListenAddress,
  type PageSetting,
  type PortRange,
  parseAccessLog,
  parseChoice,
  parseCidr,
  parseCount,
  parseDiscover,
  parseDuration,
  parseFile,
  parseIo,
  parseIpAddress,
  parseListenAddress,
  parseNodeName,
  parsePageFile,
  parsePath,
  parsePortRange,
  parseRpcAddress,
  parseStore,
  parseUser,
  parseVia,
  parseZone,
  type RpcAddress,
  type StoreSetting,
} from "./config-values.ts";
import { metricsServicesMax, workersMax } from "./limits.ts";
import { invalidField } from "./model/errors.ts";
import { parseServiceName, type ServiceName } from "./model/names.ts";

export type { HostFacts, ListenAddress, ServeOption };

/** Everything a node is told when it starts. */
export interface Config {
  readonly store: StoreSetting;
  /** HTTP listeners. */
  readonly http: readonly ListenAddress[];
  /** undefined: none is opened, as of `admin`. */
  readonly rpc: RpcAddress | undefined;
  readonly admin: ListenAddress | undefined;
  /** Where TCP routes listen; without brackets. */
  readonly tcpAddresses: readonly string[];
  /** Where the ports of TCP routes that name none come from; both ends included. */
  readonly tcpPorts: PortRange;
  readonly workers: number;
  readonly io: IoSetting;
  readonly nodeName: string;
  /** Where this node stands, as the label "zone" of backends says it; "": it does not say. */
  readonly zone: string;
  /** How long open work may take on SIGTERM, in ms. */
  readonly drainMs: number;
  /** Absolute. */
  readonly stateDir: string;
  readonly accessLog: AccessLogSetting;
  /** CIDR ranges: whose forwarding fields are kept; whose connections begin with a PROXY protocol preface. */
  readonly trustForwarded: readonly string[];
  /** With metrics of their own. */
  readonly metricsServices: readonly ServiceName[];
  readonly proxyProtocol: readonly string[];
  /** What this node says instead of the router's own words. */
  readonly pages: readonly PageSetting[];
  readonly limits: LimitSettings;
  /** The key of sticky cookies; absent: the store's, or the node's own. */
  readonly sealingKeyFile?: string;
  /** What the router calls itself in Via, or "off": it writes none. */
  readonly via: string;
  /** Requests get Forwarded beside X-Forwarded-*. */
  readonly forwarded: boolean;
  /** Where backends come from besides the API. */
  readonly discover: readonly DiscoverSetting[];
  /** Takes what the etcd store holds at the start, whatever this node knows of it. */
  readonly acceptStore: boolean;
  readonly logFormat: "json" | "text";
  readonly demo: boolean;
  /** What `crosspoint forward` leads where; absent: the node is no forwarder. */
  readonly forward?: ForwardSetting;
}

/** One TCP port, and the service that answers it. */
export interface ForwardSetting {
  readonly service: ServiceName;
  /** 0: any free one of `tcpPorts`. */
  readonly port: number;
}

/** Flag to what the command line gave: a switch is true. */
export type RawOptions = Readonly<Record<string, string | readonly string[] | boolean | undefined>>;

export const serveOptions = {
  store: one(
    "store",
    "URL",
    "where routes live: sqlite:PATH, memory: or, for nodes that share them, etcd:http://HOST:2379,http://HOST:2379[/PREFIX]",
    parseStore,
    { fallback: "sqlite:routes.db in the state directory" },
  ),
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
  io: one("io", "KIND", "how connections are carried: auto, uring, epoll or net", parseIo, {
    fallback: "auto",
  }),
  nodeName: one("node-name", "NAME", "what this node is called", parseNodeName, {
    fallback: "the host's name",
  }),
  zone: one(
    "zone",
    "NAME",
    'where this node stands: backends whose label "zone" says the same come first where a service prefers them',
    parseZone,
  ),
  discover: many(
    "discover",
    "URL",
    "where backends come from besides the API: etcd:http://HOST:2379/services/ or discoverd:http://HOST:2379",
    parseDiscover,
    { separator: discoverSeparator },
  ),
  etcdUser: one("etcd-user", "NAME", "who this node is to every etcd it is given", parseUser),
  etcdPasswordFile: one(
    "etcd-password-file",
    "FILE",
    "that user's password, alone in a file",
    parseFile,
  ),
  etcdCa: one("etcd-ca", "FILE", "whose certificates an https:// etcd may show, PEM", parseFile, {
    fallback: "those that Node trusts",
  }),
  etcdCert: one(
    "etcd-cert",
    "FILE",
    "this node's certificate for an https:// etcd, PEM",
    parseFile,
  ),
  etcdKey: one("etcd-key", "FILE", "its private key, PEM", parseFile),
  acceptStore: turned(
    "accept-store",
    "start with what the etcd store holds, although it lost what this node knows; once, not for good",
  ),
  drain: one("drain", "DURATION", "how long open work may take on SIGTERM", parseDuration, {
    fallback: "30s",
  }),
  state: one("state", "DIR", "where the node keeps its files", parsePath, {
    fallback: "$STATE_DIRECTORY, $XDG_STATE_HOME/crosspoint or ~/.local/state/crosspoint",
  }),
  sealingKey: one(
    "sealing-key",
    "FILE",
    "a key of your own for sticky cookies: 32 bytes, or those as base64 or hex",
    parseFile,
    { fallback: "the nodes of an etcd store share one by themselves" },
  ),
  accessLog: one("access-log", "DEST", "off, - (standard output) or a file", parseAccessLog, {
    fallback: "off",
  }),
  metricsService: atMost(
    metricsServicesMax,
    many("metrics-service", "NAME", "a service that /metrics shows by itself", parseServiceName, {
      fallback: "sums of all services",
    }),
  ),
  trustForwarded: many(
    "trust-forwarded",
    "CIDR",
    "whose Forwarded, X-Forwarded-* and X-Request-* fields are kept",
    parseCidr,
    { fallback: "nobody's" },
  ),
  proxyProtocol: many(
    "proxy-protocol",
    "CIDR",
    "whose connections begin with a PROXY protocol preface (v1 or v2), which names the client",
    parseCidr,
    { fallback: "nobody's" },
  ),
  page: many(
    "page",
    "STATUS=FILE",
    "what clients get instead of the router's own words with this status, such as 503=sorry.html",
    parsePageFile,
    { fallback: "the router's own words" },
  ),
  via: one(
    "via",
    "NAME",
    "what the router is called in Via of what it forwards, or off",
    parseVia,
    { fallback: "crosspoint" },
  ),
  forwarded: one(
    "forwarded",
    "on|off",
    "whether backends get Forwarded (RFC 7239) beside X-Forwarded-*",
    parseSwitch,
    { fallback: "off" },
  ),
  limit: limitOption,
  logFormat: one(
    "log-format",
    "FORMAT",
    "of the log on standard error: json or text",
    (text, source) => parseChoice(text, source, ["json", "text"] as const),
    { fallback: "json" },
  ),
  demo: turned("demo", "two sample backends at http://demo.localhost"),
  config: one("config", "FILE", "these settings as YAML or JSON, by the same names", parsePath),
} as const satisfies Readonly<Record<string, ServeOption>>;

/** Settings to a Config. Throws one "invalid-argument" that names the flag, variable or key and its value. */
export function parseConfig(
  options: RawOptions,
  env: NodeJS.ProcessEnv,
  host: HostFacts = realHost,
): Config {
  const given = settle(options, env, host);
  const told = <T>(option: ServeOption<T>): Told<T> | undefined => {
    const found = given.get(option.flag);
    if (found === undefined) return undefined;
    return { value: option.read(found.texts, found.source), source: found.source };
  };
  const value = <T>(option: ServeOption<T>): T | undefined => told(option)?.value;
  const demo = value(serveOptions.demo) ?? false;
  const stateDir = value(serveOptions.state) ?? stateDirectory(env, host);
  const http = value(serveOptions.http) ?? [
    { address: "0.0.0.0", port: 8080 },
    { address: "::", port: 8080 },
  ];
  const sealingKeyFile = value(serveOptions.sealingKey);
  const config: Config = {
    ...etcdSettings(told, () =>
      demo ? { kind: "memory" } : { kind: "sqlite", path: join(stateDir, "routes.db") },
    ),
    http,
    rpc: value(serveOptions.rpc) ?? { kind: "tcp", address: "127.0.0.1", port: 7070 },
    admin: value(serveOptions.admin) ?? { address: "127.0.0.1", port: 7071 },
    tcpAddresses: value(serveOptions.tcpAddress) ?? ["0.0.0.0", "::"],
    tcpPorts: value(serveOptions.tcpPorts) ?? { first: 3000, last: 3500 },
    workers: value(serveOptions.workers) ?? (demo ? 1 : Math.min(host.cores(), workersMax)),
    io: value(serveOptions.io) ?? "auto",
    nodeName: value(serveOptions.nodeName) ?? host.hostname(),
    zone: value(serveOptions.zone) ?? "",
    drainMs: value(serveOptions.drain) ?? 30_000,
    stateDir,
    accessLog: value(serveOptions.accessLog) ?? { kind: demo ? "stdout" : "off" },
    metricsServices: value(serveOptions.metricsService) ?? [],
    trustForwarded: value(serveOptions.trustForwarded) ?? [],
    proxyProtocol: value(serveOptions.proxyProtocol) ?? [],
    via: value(serveOptions.via) ?? "crosspoint",
    forwarded: value(serveOptions.forwarded) ?? false,
    limits: value(serveOptions.limit) ?? {},
    ...(sealingKeyFile === undefined ? {} : { sealingKeyFile }),
    pages: value(serveOptions.page) ?? [],
    logFormat: value(serveOptions.logFormat) ?? "json",
    demo,
  };
  refuseDoubles(config);
  return config;
}

type Tell = <T>(option: ServeOption<T>) => Told<T> | undefined;

/** The settings that may name an etcd, each with what counts for all of them. */
function etcdSettings(
  told: Tell,
  usual: () => StoreSetting,
): Pick<Config, "store" | "discover" | "acceptStore"> {
  const options: EtcdOptions = {
    user: told(serveOptions.etcdUser),
    passwordFile: told(serveOptions.etcdPasswordFile),
    caFile: told(serveOptions.etcdCa),
    certFile: told(serveOptions.etcdCert),
    keyFile: told(serveOptions.etcdKey),
  };
  const { value: store, source } = told(serveOptions.store) ?? { value: usual(), source: "" };
  const found = told(serveOptions.discover);
  const etcds = [
    ...(found?.value ?? []).map(({ etcd }) => ({ value: etcd, source: found?.source ?? "" })),
    ...(store.kind === "etcd" ? [{ value: store.etcd, source }] : []),
  ];
  const complete = withEtcdOptions(etcds, options);
  const discover = (found?.value ?? []).map((place, i) => ({
    ...place,
    etcd: complete[i] ?? place.etcd,
  }));
  const accept = told(serveOptions.acceptStore);
  if (store.kind === "etcd") {
    const etcd = complete.at(-1) ?? store.etcd;
    return { store: { ...store, etcd }, discover, acceptStore: accept?.value ?? false };
  }
  if (accept?.value === true) {
    throw invalidField(accept.source, "is for --store etcd:http://HOST:2379, and the store is not");
  }
  return { store, discover, acceptStore: false };
}

/** CROSSPOINT_TCP_PORTS for "tcp-ports". */
export function environmentName(flag: string): string {
  return `CROSSPOINT_${flag.toUpperCase().replaceAll("-", "_")}`;
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
  for (const [flag, found] of readConfigFile(path, config.source, fileKeys(), (name) =>
    host.readFile(name),
  )) {
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
  return { texts: option.split(text), source };
}

/** The keys of a configuration file: every flag but --config itself. */
function fileKeys(): string[] {
  return Object.values<ServeOption>(serveOptions)
    .map(({ flag }) => flag)
    .filter((flag) => flag !== serveOptions.config.flag);
}

/** The same address twice would only fail later, when it is bound, and less readably. */
function refuseDoubles(config: Config): void {
  const statuses = new Set(config.pages.map(({ status }) => status));
  if (statuses.size < config.pages.length) throw invalidField("--page", "names a status twice");
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
  if (config.rpc?.kind === "tcp") claim("--rpc", config.rpc);
  if (config.admin !== undefined) claim("--admin", config.admin);
}
