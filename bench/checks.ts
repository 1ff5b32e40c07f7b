// What do health checks cost: are there as many probes as are asked for, what do they take of the processor, and what of the
// data plane's throughput?
//
// One node, and the same load on it in turns with checks and without; the backends of the checks are others than the load's.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  ApplyChangesRequest,
  type ApplyChangesResponse,
  type Change,
  HealthCheck,
  HttpProbe,
  RegisterBackendRequest,
  type RegisterBackendResponse,
  Service,
  Wait,
} from "../src/gen/crosspoint/v1/router.ts";
import { startBackend } from "./support/backend.ts";
import { addRoutes, type RunningNode, startCrosspoint } from "./support/crosspoint.ts";
import { type Effort, shown } from "./support/effort.ts";
import { httpLoad, httpLoadName } from "./support/load.ts";
import { hasTwoCores, loadCore, machineName, proxyCore } from "./support/machine.ts";
import { Program } from "./support/program.ts";
import type { Question } from "./support/question.ts";
import { type Figures, medianFigures, type Result } from "./support/results.ts";
import { withTemporaryFolder } from "./support/temporary-folder.ts";

interface Size {
  readonly services: number;
  /** Of each service, all on an address of its own: a port each. */
  readonly backends: number;
  readonly intervalMs: number;
}

const fullSize: Size = { services: 1_000, backends: 10, intervalMs: 10_000 };
const quickSize: Size = { services: 50, backends: 4, intervalMs: 1_000 };
const connections = 64;
/** Registrations under way at once. */
const callsAtOnce = 64;
/** A load that follows a change of checks waits for the first probes, which are spread over the interval. */
const settleIntervals = 1.2;

export const checks: Question = {
  name: "checks",
  run: (effort) => withTemporaryFolder((folder) => measured(folder, effort)),
};

async function measured(folder: string, effort: Effort): Promise<Result> {
  const size = effort.quick ? quickSize : fullSize;
  const started: Program[] = [];
  try {
    const http = await startBackend({
      kind: "http",
      folder: join(folder, "backend"),
      core: loadCore,
    });
    started.push(http.program);
    const probed = startProbed(size.backends);
    started.push(probed);
    const [, ports = ""] = await probed.waitForLine(/^ports (\S+)$/m, 10_000);
    const node = await startCrosspoint({
      folder,
      store: "memory:",
      accessLog: false,
      workers: 1,
      core: proxyCore,
    });
    started.push(node.program);
    const backend = `127.0.0.1:${http.port}`;
    await addRoutes(node, {
      service: "bench",
      backend,
      domains: ["bench.test"],
      tcpPort: undefined,
    });
    await register(node, size, ports.split(",").map(Number));
    return await compared(node, size, effort, http.name);
  } finally {
    for (const program of started.toReversed()) await program.stop();
  }
}

/** With as much of the load's core as is left. */
function startProbed(count: number): Program {
  return Program.start({
    command: process.execPath,
    args: [join(import.meta.dirname, "support/probed-backends.ts"), String(count)],
    core: loadCore,
    readsOutput: true,
  });
}

async function compared(
  node: RunningNode,
  size: Size,
  effort: Effort,
  backend: string,
): Promise<Result> {
  const without: Figures[] = [];
  const checked: Figures[] = [];
  const alone: Figures[] = [];
  if (effort.warmUpSeconds > 0) await loaded(node, effort.warmUpSeconds);
  for (let round = 0; round < effort.rounds; round++) {
    // Who comes first changes: what the machine does meanwhile hurts both alike.
    for (const hasChecks of round % 2 === 0 ? [false, true] : [true, false]) {
      await putChecks(node, size, hasChecks);
      if (hasChecks) {
        await elapsed(size.intervalMs * settleIntervals);
        const { "others ms": _, ...figures } = await during(node, () =>
          elapsed(effort.quick ? 2_000 : size.intervalMs),
        );
        alone.push(figures);
        console.log(`  checks alone: ${shown(alone.at(-1) ?? {})}`);
      }
      const figures = await loaded(node, effort.seconds);
      (hasChecks ? checked : without).push(figures);
      console.log(`  ${hasChecks ? "with" : "without"} checks: ${shown(figures)}`);
    }
  }
  const wanted = (size.services * size.backends * 1_000) / size.intervalMs;
  const row = (name: string, rounds: readonly Figures[]) => ({
    name,
    figures: medianFigures(rounds),
    rounds,
  });
  const rows = [row("no checks", without), row("checks", checked), row("checks, no load", alone)];
  const lost = 1 - (rows[1]?.figures["requests/s"] ?? 0) / (rows[0]?.figures["requests/s"] ?? 0);
  console.log(
    `  ${wanted} probes/s are asked for; ${(lost * 100).toFixed(2)} % of throughput lost`,
  );
  return {
    name: "checks",
    question: "What do health checks cost?",
    method: `${size.services.toLocaleString("en-US")} services of ${size.backends} backends each, all addresses different, an HTTP check every ${size.intervalMs / 1_000} s: ${wanted} probes/s. One worker, which shares its core with the prober (what it does itself is in µs per request: the CPU of the process without the prober's); load, its backend (${backend}) and the probed backends share the other. ${connections} connections, load by ${httpLoadName}; medians of ${effort.rounds} interleaved rounds of ${effort.seconds} s.`,
    machine: machineName(),
    versions: { Crosspoint: `${node.version} (io=${node.io})` },
    date: new Date().toISOString().slice(0, 10),
    quick: effort.quick,
    rows,
    skipped: hasTwoCores() ? [] : ["no taskset or only one core: node and load share cores"],
  };
}

async function loaded(node: RunningNode, seconds: number): Promise<Figures> {
  let requestsPerSecond = 0;
  let p99Ms = 0;
  let requests = 0;
  const figures = await during(node, async () => {
    const report = await httpLoad({
      port: node.httpPort,
      path: "/",
      host: "bench.test",
      connections,
      seconds,
      closes: false,
      uploadBytes: 0,
      pipelined: 1,
      core: loadCore,
    });
    if (report.errors > 0) throw new Error(`${report.errors} errors`);
    ({ requestsPerSecond, p99Ms, requests } = report);
  });
  const { "others ms": othersMs = 0, ...shared } = figures;
  const perRequest = (othersMs * 1_000) / requests;
  return {
    "requests/s": requestsPerSecond,
    "p99 ms": p99Ms,
    "µs per request": perRequest,
    ...shared,
  };
}

/** Probes, and CPU of the prober's thread and of the whole process, while `work` goes on. */
async function during(node: RunningNode, work: () => Promise<unknown>): Promise<Figures> {
  const before = await look(node);
  await work();
  const after = await look(node);
  const seconds = (after.ms - before.ms) / 1_000;
  const probes = after.probes - before.probes;
  const proberMs = after.proberMs - before.proberMs;
  return {
    "probes/s": probes / seconds,
    "failed probes": after.failed - before.failed,
    "prober % of a core": proberMs / seconds / 10,
    "µs per probe": probes === 0 ? 0 : (proberMs * 1_000) / probes,
    "process % of a core": (after.processMs - before.processMs) / seconds / 10,
    // For those who know the requests; not shown.
    "others ms": after.processMs - before.processMs - proberMs,
  };
}

interface Look {
  readonly ms: number;
  readonly probes: number;
  readonly failed: number;
  readonly proberMs: number;
  readonly processMs: number;
}

async function look({ program, adminPort }: RunningNode): Promise<Look> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/metrics`);
  const text = await answer.text();
  const of = (result: string): number =>
    Number(
      new RegExp(`^crosspoint_probes_total\\{result="${result}"\\} (\\d+)`, "m").exec(text)?.[1],
    );
  const failed = of("failure") + of("timeout");
  const { totalMs, threads } = program.cpuTime();
  let proberMs = 0;
  for (const [thread, ms] of threads) if (nameOf(program.pid, thread) === "prober") proberMs += ms;
  return {
    ms: performance.now(),
    probes: of("success") + failed,
    failed,
    proberMs,
    processMs: totalMs,
  };
}

function nameOf(pid: number, thread: number): string {
  try {
    return readFileSync(`/proc/${pid}/task/${thread}/comm`, "utf8").trim();
  } catch {
    return ""; // it has ended
  }
}

/** An address for each backend of each service: 127.0.1.0 and on, with the ports of the one process that listens. */
async function register(node: RunningNode, size: Size, ports: readonly number[]): Promise<void> {
  const requests = Array.from({ length: size.services }, (_, service) =>
    ports.map((port) =>
      RegisterBackendRequest.fromPartial({
        backend: { service: nameOfService(service), address: `${hostOf(service)}:${port}` },
        wait: Wait.NONE,
      }),
    ),
  ).flat();
  await Promise.all(
    Array.from({ length: callsAtOnce }, async () => {
      for (let request = requests.pop(); request !== undefined; request = requests.pop()) {
        const asked = request;
        await node.client.call<RegisterBackendResponse>((stub, ...rest) =>
          stub.registerBackend(asked, ...rest),
        );
      }
    }),
  );
}

async function putChecks(node: RunningNode, size: Size, hasChecks: boolean): Promise<void> {
  const ms = size.intervalMs;
  const interval = { seconds: BigInt(Math.floor(ms / 1_000)), nanos: (ms % 1_000) * 1_000_000 };
  const healthCheck: HealthCheck = {
    ...HealthCheck.fromPartial({ interval }),
    probe: { $case: "http", value: HttpProbe.fromPartial({ path: "/healthz" }) },
  };
  const changes = Array.from({ length: size.services }, (_, service): Change => {
    const value = Service.fromPartial({ name: nameOfService(service) });
    return {
      change: { $case: "putService", value: hasChecks ? { ...value, healthCheck } : value },
    };
  });
  for (let at = 0; at < changes.length; at += 500) {
    const request: ApplyChangesRequest = {
      ...ApplyChangesRequest.fromPartial({ wait: Wait.NODE }),
      changes: changes.slice(at, at + 500),
    };
    await node.client.call<ApplyChangesResponse>((stub, ...rest) =>
      stub.applyChanges(request, ...rest),
    );
  }
}

const nameOfService = (service: number): string => `checked-${service}`;
const hostOf = (service: number): string => `127.0.${1 + (service >> 8)}.${service & 255}`;
const elapsed = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
