// Crosspoint as it is delivered: `node src/main.ts`, told its routes over gRPC.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { NodeClient, targetOf } from "../../src/cli/client.ts";
import {
  AddRouteRequest,
  type AddRouteResponse,
  ApplyChangesRequest,
  type ApplyChangesResponse,
  type Change,
  HttpMatch,
  RegisterBackendRequest,
  type RegisterBackendResponse,
  Route,
  Wait,
} from "../../src/gen/crosspoint/v1/router.ts";
import { proxyCore } from "./machine.ts";
import { Program } from "./program.ts";

const root = join(import.meta.dirname, "../..");

export interface CrosspointOptions {
  readonly folder: string;
  /** As --store. */
  readonly store: string;
  readonly accessLog: boolean;
  readonly workers: number;
  /** As --io. */
  readonly io?: string;
  /** Client connections at a time; absent: what the router allows by itself. */
  readonly connections?: number;
  /** As --limit: "answer-time=2s". */
  readonly limits?: readonly string[];
  /** Where it runs; absent: alone on the proxies' core. */
  readonly core?: number | "all";
}

export interface RunningNode {
  readonly program: Program;
  readonly client: NodeClient;
  readonly version: string;
  /** The adapter that its workers use: "uring", "epoll", "net". */
  readonly io: string;
  readonly httpPort: number;
  readonly adminPort: number;
  /** From the start of the program to its `ready` line, in s. */
  readonly readySeconds: number;
}

export async function startCrosspoint(options: CrosspointOptions): Promise<RunningNode> {
  const startMs = performance.now();
  const program = Program.start({
    command: process.execPath,
    args: [
      join(root, "src/main.ts"),
      `--store=${options.store}`,
      `--state=${options.folder}`,
      `--access-log=${options.accessLog ? join(options.folder, "access.log") : "off"}`,
      `--workers=${options.workers}`,
      ...(options.io === undefined ? [] : [`--io=${options.io}`]),
      ...(options.connections === undefined
        ? []
        : [`--limit=connections-per-node=${options.connections}`]),
      ...(options.limits ?? []).map((limit) => `--limit=${limit}`),
      "--http=127.0.0.1:0",
      "--rpc=127.0.0.1:0",
      "--admin=127.0.0.1:0",
      "--tcp-address=127.0.0.1",
    ],
    core: options.core === "all" ? undefined : (options.core ?? proxyCore),
    readsOutput: true,
  });
  const [line] = await program.waitForLine(/^ready .*$/m, 60_000);
  const readySeconds = (performance.now() - startMs) / 1000;
  const rpc = portIn(line, "rpc");
  return {
    program,
    client: new NodeClient(`127.0.0.1:${rpc}`, targetOf(`127.0.0.1:${rpc}`, "bench"), 60_000),
    version: String(
      (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: unknown })
        .version,
    ),
    io: /\bio=(\S+)/.exec(line)?.[1] ?? "",
    httpPort: portIn(line, "http"),
    adminPort: portIn(line, "admin"),
    readySeconds,
  };
}

function portIn(line: string, key: string): number {
  const port = Number(new RegExp(`\\b${key}=\\S*?:(\\d+)`).exec(line)?.[1]);
  if (Number.isNaN(port)) throw new Error(`no ${key} in ${line}`);
  return port;
}

export interface RoutesToAdd {
  readonly service: string;
  readonly backend: string;
  readonly domains: readonly string[];
  readonly tcpPort: number | undefined;
}

/** Changes in one ApplyChanges; far below the request's size limit. */
const batchRoutes = 500;

/** Registers the backend, then adds the routes in batches; returns when every worker serves them. */
export async function addRoutes({ client }: RunningNode, routes: RoutesToAdd): Promise<void> {
  const { service, backend, domains, tcpPort } = routes;
  if (backend !== "") {
    const request = RegisterBackendRequest.fromPartial({ backend: { service, address: backend } });
    await client.call<RegisterBackendResponse>((stub, ...rest) =>
      stub.registerBackend(request, ...rest),
    );
  }
  const tcp = tcpPort === undefined ? [] : [tcpRoute(service, tcpPort)];
  const all = [...tcp, ...domains.map((domain) => httpRoute(service, domain))];
  const changes = all.map((value): Change => ({ change: { $case: "putRoute", value } }));
  for (let at = 0; at < changes.length; at += batchRoutes) {
    const request: ApplyChangesRequest = {
      ...ApplyChangesRequest.fromPartial({ wait: Wait.NODE }),
      changes: changes.slice(at, at + batchRoutes),
    };
    const answer = await client.call<ApplyChangesResponse>((stub, ...rest) =>
      stub.applyChanges(request, ...rest),
    );
    if (answer.lagging.length > 0) throw new Error(`lagging: ${answer.lagging[0]?.reason}`);
  }
}

function httpRoute(service: string, domain: string): Route {
  return {
    ...Route.fromPartial({ service }),
    match: { $case: "http", value: HttpMatch.fromPartial({ domain }) },
  };
}

function tcpRoute(service: string, port: number): Route {
  return { ...Route.fromPartial({ service }), match: { $case: "tcp", value: { port } } };
}

/** One AddRoute(WAIT_NODE); ms until it answered. */
export async function addRouteMs({ client }: RunningNode, domain: string): Promise<number> {
  const request: AddRouteRequest = {
    ...AddRouteRequest.fromPartial({ wait: Wait.NODE }),
    route: httpRoute("bench", domain),
  };
  const startMs = performance.now();
  const answer = await client.call<AddRouteResponse>((stub, ...rest) =>
    stub.addRoute(request, ...rest),
  );
  if (answer.lagging.length > 0) throw new Error(`lagging: ${answer.lagging[0]?.reason}`);
  return performance.now() - startMs;
}
