// Crosspoint before three backends of which one gets bad: one node for all, and for each measurement a service of its own, so
// that nothing is remembered of the one before. See bench/faults.ts.

import { policies } from "../../src/cli/show.ts";
import {
  DeregisterBackendRequest,
  type DeregisterBackendResponse,
  PutServiceRequest,
  type PutServiceResponse,
  RegisterBackendRequest,
  type RegisterBackendResponse,
  RemoveRouteRequest,
  type RemoveRouteResponse,
  RemoveServiceRequest,
  type RemoveServiceResponse,
  Service,
} from "../../src/gen/crosspoint/v1/router.ts";
import type { Duration } from "../../src/gen/google/protobuf/duration.ts";
import { addRoutes, type RunningNode, startCrosspoint } from "./crosspoint.ts";
import {
  answerMsMax,
  checkEveryMs,
  checksDown,
  checksUp,
  connectMs,
  healthPath,
} from "./fault-modes.ts";
import type { FaultyContender, FaultyProxy } from "./fault-rivals.ts";

/** Each of them leaves bad backends out; these also with that switched off, to show what it does. */
const alsoBare = ["random", "round-robin", "least-loaded", "peak-ewma"];
const ours = [...alsoBare, "ring-hash", "leader"];

/** The node that all share; its access log is a file, as it would be. */
export function startOurs(folder: string, core: number | undefined): Promise<RunningNode> {
  return startCrosspoint({
    folder,
    store: "memory:",
    accessLog: true,
    workers: 1,
    core: core ?? "all",
    connections: 10_000,
    limits: [`connect-time=${connectMs}ms`, `answer-time=${answerMsMax}ms`],
  });
}

export function oursOn(node: RunningNode): FaultyContender[] {
  let services = 0;
  const contender = (policy: string, ejects: boolean): FaultyContender => ({
    name: `Crosspoint ${policy}${ejects ? "" : ", no ejection"}`,
    side: "Crosspoint",
    ...(ejects ? {} : { isBare: true as const }),
    begin: ({ backendPorts }) =>
      beginService(node, { name: `faults-${++services}`, policy, ejects, backendPorts }),
  });
  return [
    ...ours.map((policy) => contender(policy, true)),
    ...alsoBare.map((policy) => contender(policy, false)),
  ];
}

interface Wanted {
  readonly name: string;
  readonly policy: string;
  readonly ejects: boolean;
  readonly backendPorts: readonly number[];
}

async function beginService(node: RunningNode, wanted: Wanted): Promise<FaultyProxy> {
  const { name, backendPorts } = wanted;
  const { client } = node;
  const addresses = backendPorts.map((port) => `127.0.0.1:${port}`);
  const put = PutServiceRequest.fromPartial({ service: serviceOf(wanted) });
  await client.call<PutServiceResponse>((stub, ...rest) => stub.putService(put, ...rest));
  for (const address of addresses) {
    const request = RegisterBackendRequest.fromPartial({ backend: { service: name, address } });
    await client.call<RegisterBackendResponse>((stub, ...rest) =>
      stub.registerBackend(request, ...rest),
    );
  }
  const host = `${name}.bench.test`;
  await addRoutes(node, { service: name, backend: "", domains: [host], tcpPort: undefined });
  return { port: node.httpPort, host, end: () => endService(node, name, addresses) };
}

function serviceOf({ name, policy, ejects }: Wanted): Service {
  return Service.fromPartial({
    name,
    policy: policies[policy] ?? 0,
    healthCheck: {
      probe: { $case: "http", value: { path: healthPath } },
      interval: durationOf(checkEveryMs),
      timeout: durationOf(checkEveryMs),
      healthyThreshold: checksUp,
      unhealthyThreshold: checksDown,
    },
    ...(policy === "ring-hash" ? { hashKey: { key: { $case: "header", value: "x-user" } } } : {}),
    ...(ejects ? {} : { ejection: { off: true } }),
  });
}

function durationOf(ms: number): Duration {
  return { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1_000_000 };
}

async function endService(
  { client }: RunningNode,
  name: string,
  addresses: readonly string[],
): Promise<void> {
  for (const { name: route } of (await client.routes({ service: name })).routes) {
    const request = RemoveRouteRequest.fromPartial({ name: route });
    await client.call<RemoveRouteResponse>((stub, ...rest) => stub.removeRoute(request, ...rest));
  }
  for (const address of addresses) {
    const backend = DeregisterBackendRequest.fromPartial({ service: name, address });
    await client.call<DeregisterBackendResponse>((stub, ...rest) =>
      stub.deregisterBackend(backend, ...rest),
    );
  }
  const service = RemoveServiceRequest.fromPartial({ name });
  await client.call<RemoveServiceResponse>((stub, ...rest) => stub.removeService(service, ...rest));
}
