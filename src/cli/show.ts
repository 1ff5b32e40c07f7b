// Services and revisions in the words of the command line, and the answers that every change gives.

import type { NodeLag, Service } from "../gen/crosspoint/v1/router.ts";
import {
  Policy,
  ProxyProtocol,
  policyToJSON,
  proxyProtocolToJSON,
  Wait,
} from "../gen/crosspoint/v1/router.ts";
import type { Duration } from "../gen/google/protobuf/duration.ts";
import type { Flag } from "./command.ts";
import { ExitStatus } from "./failure.ts";
import { messageToJson } from "./proto-json.ts";
import { printable } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** The policies as they are written on the command line. */
export const policies: Readonly<Record<string, Policy>> = {
  random: Policy.RANDOM,
  "round-robin": Policy.ROUND_ROBIN,
  "least-loaded": Policy.LEAST_LOADED,
  "peak-ewma": Policy.PEAK_EWMA,
  "ring-hash": Policy.RING_HASH,
  leader: Policy.LEADER,
};

/** "round-robin"; "" when none is set. */
export function policyText(policy: Policy): string {
  if (policy === Policy.UNSPECIFIED) return "";
  return policyToJSON(policy).replace("POLICY_", "").toLowerCase().replaceAll("_", "-");
}

/** The versions of the PROXY protocol as they are written on the command line. */
export const proxyProtocols: Readonly<Record<string, ProxyProtocol>> = {
  v1: ProxyProtocol.V1,
  v2: ProxyProtocol.V2,
};

/** "v1"; "" when none is sent. */
export function proxyProtocolText({ proxyProtocol }: Service): string {
  if (proxyProtocol === ProxyProtocol.UNSPECIFIED) return "";
  return proxyProtocolToJSON(proxyProtocol).replace("PROXY_PROTOCOL_", "").toLowerCase();
}

/** "http:/healthz", "tcp", "grpc:shop.v1.Shop"; "" when there is none. */
export function checkText({ healthCheck }: Service): string {
  const probe = healthCheck?.probe;
  switch (probe?.$case) {
    case "http":
      return `http:${probe.value.path}`;
    case "tcp":
      return "tcp";
    case "grpc":
      return probe.value.service === "" ? "grpc" : `grpc:${probe.value.service}`;
    default:
      return "";
  }
}

/** "2026-11-21T08:00:00Z"; "" for none. */
export function timeText(time: Date | undefined): string {
  return time === undefined ? "" : `${time.toISOString().slice(0, -".000Z".length)}Z`;
}

/** "10s", "1.5s"; "" for none. */
export function durationText(duration: Duration | undefined): string {
  if (duration === undefined) return "";
  return `${Number(duration.seconds) + duration.nanos / 1e9}s`;
}

export const waitFlag: Flag = {
  name: "wait",
  value: "HOW",
  help: "answer when stored (none), served by every worker of the node, or of all nodes (default: node)",
  choices: ["none", "node", "all"],
};

export function waitOf(text: string | undefined): Wait {
  if (text === "none") return Wait.NONE;
  return text === "all" ? Wait.ALL : Wait.NODE;
}

/** Names who does not serve a change yet, and answers the exit status that says so. */
export function noteLagging(lagging: readonly NodeLag[], terminal: Terminal): ExitStatus {
  for (const { node, servedRevision, reason } of lagging) {
    terminal.note(
      printable(
        `not yet served by node ${node}, which is at revision ${servedRevision}: ${reason}`,
      ),
    );
  }
  return lagging.length === 0 ? ExitStatus.Done : ExitStatus.Lagging;
}

/** `--json`: the answer as it is, on standard output. */
export function printJson<T>(
  terminal: Terminal,
  type: string,
  coder: Parameters<typeof messageToJson<T>>[1],
  message: T,
): void {
  terminal.print(JSON.stringify(messageToJson(type, coder, message), undefined, 2));
}
