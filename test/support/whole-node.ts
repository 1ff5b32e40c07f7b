// A whole node in this process, as src/main.ts puts it together, with everything a test asks of it.

import { request } from "node:http";
import { onTestFinished } from "vitest";
import type { Config } from "../../src/config.ts";
import { type RunningNode, startNode } from "../../src/main.ts";
import { realSystem } from "../../src/system.ts";
import { askedIo } from "./adapters.ts";
import { tcpPortsOfThisProcess } from "./child-node.ts";
import { type RecordingLog, recordingLog } from "./recording-log.ts";
import { Client } from "./rpc-node.ts";

export interface WholeNode {
  readonly node: RunningNode;
  readonly client: Client;
  readonly log: RecordingLog;
  readonly config: Config;
  readonly httpPort: number;
  /** GET of an admin path. */
  readonly admin: (path: string) => Promise<Answer>;
  /** A request on a connection of its own, through the router. */
  readonly get: (
    host: string,
    path?: string,
    headers?: Readonly<Record<string, string>>,
  ) => Promise<Answer>;
  /** Adds a route to a backend, both there when this resolves. */
  readonly lead: (match: object, backend: string, service?: string) => Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** On loopback, in memory, every port the kernel's choice. */
export function loopbackConfig(changes: Partial<Config> = {}): Config {
  return {
    store: { kind: "memory" },
    http: [{ address: "127.0.0.1", port: 0 }],
    rpc: { kind: "tcp", address: "127.0.0.1", port: 0 },
    admin: { address: "127.0.0.1", port: 0 },
    tcpAddresses: ["127.0.0.1"],
    tcpPorts: tcpPortsOfThisProcess(),
    workers: 2,
    io: askedIo(),
    nodeName: "node-1",
    drainMs: 1_000,
    stateDir: "/nonexistent",
    accessLog: { kind: "off" },
    trustForwarded: [],
    metricsServices: [],
    proxyProtocol: [],
    pages: [],
    via: "crosspoint",
    forwarded: false,
    zone: "",
    limits: {},
    logFormat: "json",
    discover: [],
    acceptStore: false,
    demo: false,
    ...changes,
  };
}

/** Ends with the test. */
export async function startWholeNode(changes: Partial<Config> = {}): Promise<WholeNode> {
  const config = loopbackConfig(changes);
  const log = recordingLog();
  const node = await startNode({ config, log, system: realSystem, faultHooks: true });
  const client = new Client(node.rpc);
  onTestFinished(async () => {
    client.close();
    await node.stop(0);
  });
  const httpPort = Number(/\d+$/.exec(node.http[0] ?? "")?.[0]);
  const get: WholeNode["get"] = (host, path = "/", headers = {}) =>
    answerOf(httpPort, path, { ...headers, Host: host });
  return {
    node,
    client,
    log,
    config,
    httpPort,
    admin: (path) => answerOf(Number(/\d+$/.exec(node.admin)?.[0]), path, {}),
    get,
    lead: async (match, backend, service = `to-${backend.replaceAll(/[^0-9a-z]/g, "-")}`) => {
      await client.call("registerBackend", { backend: { service, address: backend } });
      await client.call("addRoute", { route: { match, service } });
    },
  };
}

/** Fields of a route's match. */
export const httpMatch = (domain: string, pathPrefix = ""): object => ({
  $case: "http",
  value: { domain, pathPrefix },
});
export const tcpMatch = (port = 0): object => ({ $case: "tcp", value: { port } });

/** A GET of its own connection to a port of the loopback; the path goes out as it is. */
export function answerOf(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, path, headers, agent: false } as const;
    const sent = request(options, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text));
      response.on("error", reject);
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, body, headers: response.headers });
      });
    });
    sent.on("error", reject);
    sent.end();
  });
}
