// crosspoint forward: one TCP port to one service whose backends stand in an etcd. The successor of etcd-netfw,
// and a node like any other: its flags are a Config.

import {
  type Config,
  environmentName,
  parseConfig,
  type ServeOption,
  serveOptions,
} from "../../config.ts";
import { parseEtcdPlace } from "../../config-etcd.ts";
import { parseListenAddress } from "../../config-values.ts";
import { invalidField } from "../../model/errors.ts";
import { parseServiceName, type ServiceName } from "../../model/names.ts";
import { type Command, type Flag, type Flags, textOf, textsOf } from "../command.ts";
import { flagOf } from "./serve.ts";

/** etcd-netfw's own defaults, but for the port of etcd: 4001 was that of etcd 0.4, which spoke another protocol. */
const acceptDefault = "0.0.0.0:1337";
const etcdDefault = "http://127.0.0.1:2379";

/** Settings of `serve` that a forwarder has too, with its own defaults in words. */
const shared: readonly ServeOption[] = [
  { ...serveOptions.workers, fallback: "1, so that backends take strict turns" },
  { ...serveOptions.drain, fallback: "0: at once" },
  { ...serveOptions.accessLog, fallback: "-" },
  serveOptions.state,
  serveOptions.logFormat,
  serveOptions.etcdUser,
  serveOptions.etcdPasswordFile,
  serveOptions.etcdCa,
  serveOptions.etcdCert,
  serveOptions.etcdKey,
];
/** Ports that it opens only when asked: nobody else needs them. */
const ports: readonly ServeOption[] = [
  { ...serveOptions.rpc, fallback: "none" },
  { ...serveOptions.admin, fallback: "none" },
];

const ownFlags: readonly Flag[] = [
  {
    name: "accept",
    short: "a",
    value: "IP:PORT",
    help: `where to listen (default: ${acceptDefault})`,
  },
  {
    name: "etcd",
    value: "URL",
    help: `etcd, several separated by commas (default: ${etcdDefault}; repeatable)`,
    repeatable: true,
  },
  {
    name: "service-path",
    value: "PATH",
    help: "the service's folder: its backends are PATH/ID and PATH/ID/location",
    required: true,
  },
];

/** @param serve Runs a node until it is told to end, and answers the exit status. */
export function forwardCommand(serve: (config: Config) => Promise<number>): Command {
  return {
    path: ["forward"],
    summary: "lead one TCP port to one service of an etcd, as etcd-netfw did",
    arguments: [],
    flags: [...ownFlags, ...[...shared, ...ports].map(flagOf)],
    client: false,
    examples: [
      "crosspoint forward --accept 0.0.0.0:5432 --service-path /services/postgres/",
      "crosspoint forward --etcd http://10.0.0.5:2379,http://10.0.0.6:2379 --service-path /services/web",
      "",
      "etcd-netfw's flags are understood: -a and -acceptAddr, -etcdAddress, -servicePath.",
      `Variables count for what serve has too (--workers: ${environmentName("workers")}), but not for --rpc and --admin.`,
    ],
    today: todaysWords,
    run: ({ flags, env }) => serve(forwardConfig(flags, env)),
  };
}

const oldNames: Readonly<Record<string, string>> = {
  a: "accept",
  acceptAddr: "accept",
  etcdAddress: "etcd",
  servicePath: "service-path",
};

/** etcd-netfw's flags, with one dash or two, their values behind "=" or a space, as ours. */
export function todaysWords(words: readonly string[]): readonly string[] {
  const today: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (word === "--") return [...today, ...words.slice(i)];
    const [, name = "", value] = /^--?([A-Za-z]+)(?:=(.*))?$/s.exec(word) ?? [];
    const known = Object.hasOwn(oldNames, name) ? oldNames[name] : undefined;
    if (known === undefined) today.push(word);
    else if (value !== undefined) today.push(`--${known}=${value}`);
    else if (i + 1 < words.length) today.push(`--${known}=${words[++i]}`);
    else today.push(`--${known}`); // which is told to lack its value
  }
  return today;
}

/** Flags to the settings of a node. Throws "invalid-argument" naming the flag and its value. */
export function forwardConfig(flags: Flags, env: NodeJS.ProcessEnv): Config {
  const { addresses, port } = parseAccept(textOf(flags, "accept") ?? acceptDefault);
  const endpoints = parseEndpoints(textsOf(flags, "etcd"));
  const { path, service } = parseServicePath(textOf(flags, "service-path") ?? "");
  const given = Object.fromEntries(shared.map(({ flag }) => [flag, flags[flag]]));
  const anywhere = "127.0.0.1:0";
  const config = parseConfig(
    {
      ...given,
      store: "memory:",
      http: [anywhere],
      rpc: textOf(flags, "rpc") ?? anywhere,
      admin: textOf(flags, "admin") ?? anywhere,
      discover: [`etcd:${endpoints}${path}`],
    },
    environmentOf(env),
  );
  return {
    ...config,
    http: [],
    rpc: flags["rpc"] === undefined ? undefined : config.rpc,
    admin: flags["admin"] === undefined ? undefined : config.admin,
    tcpAddresses: addresses,
    tcpPorts: port === 0 ? config.tcpPorts : { first: port, last: port },
    discover: config.discover.map((setting) => ({ ...setting, service })),
    forward: { service, port },
  };
}

/** What the environment says of the settings that are shared; where it is silent, our defaults. */
function environmentOf(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const defaults = { workers: "1", drain: "0", "access-log": "-" };
  const names = new Map(
    Object.entries(defaults).map(([flag, value]) => [environmentName(flag), value]),
  );
  for (const name of [
    ...shared.map(({ flag }) => environmentName(flag)),
    "STATE_DIRECTORY",
    "XDG_STATE_HOME",
  ]) {
    const value = env[name];
    if (value !== undefined && value !== "") names.set(name, value);
  }
  return Object.fromEntries(names);
}

interface Accept {
  readonly addresses: readonly string[];
  /** 0: any free one. */
  readonly port: number;
}

/** ":1337" is every address, of both families, as it was to etcd-netfw. */
function parseAccept(text: string): Accept {
  const everywhere = /^\*?:(\d+)$/.exec(text)?.[1];
  const { address, port } = parseListenAddress(
    everywhere === undefined ? text : `0.0.0.0:${everywhere}`,
    "--accept",
  );
  return { addresses: everywhere === undefined ? [address] : ["0.0.0.0", "::"], port };
}

/** "http://a:2379/, http://b:2379" to "http://a:2379,http://b:2379". */
function parseEndpoints(texts: readonly string[]): string {
  const words = texts
    .flatMap((text) => text.split(","))
    .map((word) => word.trim().replace(/\/+$/, ""))
    .filter((word) => word !== "");
  if (words.length === 0) return etcdDefault;
  const list = words.join(",");
  const { prefix } = parseEtcdPlace(`etcd:${list}`, "--etcd", "http://HOST:2379,http://HOST:2379");
  if (prefix === undefined) return list;
  throw invalidField(
    "--etcd",
    `${JSON.stringify(prefix)} is no part of an address: see --service-path`,
  );
}

interface ServicePath {
  /** With a slash at its beginning and at its end. */
  readonly path: string;
  /** What the service is called in logs and tables: the folder's name, where that can be a service's. */
  readonly service: ServiceName;
}

function parseServicePath(text: string): ServicePath {
  const names = text.replace(/^\//, "").replace(/\/+$/, "");
  if (!/^[!-+\--.0-~]+(?:\/[!-+\--.0-~]+)*$/.test(names)) {
    throw invalidField(
      "--service-path",
      `${JSON.stringify(text)} is not a folder of etcd: write /services/NAME`,
    );
  }
  return { path: `/${names}/`, service: serviceNameOf(names.split("/").at(-1) ?? "") };
}

function serviceNameOf(name: string): ServiceName {
  try {
    return parseServiceName(name);
  } catch {
    return parseServiceName("forward");
  }
}
