// Crosspoint as a contender: everything on that is on by default, and its access log to a file, or not.

import { addRoutes, startCrosspoint } from "./crosspoint.ts";
import { freePort } from "./program.ts";
import { type Contender, hostsOf, type Job, type RunningProxy } from "./proxy.ts";

export interface CrosspointProxyOptions {
  /** As --io. */
  readonly io: string;
  readonly accessLog: boolean;
}

/** With 20,000 file descriptors a node allows 7,600 clients by itself: docs/LIMITS.md. */
const connectionsAsDelivered = 4_000;

export function crosspoint(options: CrosspointProxyOptions): Contender {
  return async (job) => {
    try {
      return await start(job, options);
    } catch (reason) {
      // This version, or this machine, has no such adapter.
      const why = /^.*--io\b.*$/m.exec(String(reason))?.[0];
      if (options.io === "auto" || why === undefined) throw reason;
      return `Crosspoint with --io ${options.io}: ${why.trim()}`;
    }
  };
}

async function start(job: Job, { io, accessLog }: CrosspointProxyOptions): Promise<RunningProxy> {
  const { folder, workers, routes } = job;
  const node = await startCrosspoint({
    folder,
    store: "memory:",
    accessLog,
    workers,
    io,
    core: job.core ?? "all",
    ...(job.connections > connectionsAsDelivered ? { connections: job.connections + 100 } : {}),
  });
  const tcpPort = job.mode === "tcp" ? await freePort() : undefined;
  const port = tcpPort ?? node.httpPort;
  try {
    await addRoutes(node, {
      service: "bench",
      backend: `127.0.0.1:${job.backendPort}`,
      domains: tcpPort === undefined ? hostsOf(routes) : [],
      tcpPort,
    });
    await node.program.waitForPort(port);
  } catch (reason) {
    await node.program.stop();
    throw reason;
  } finally {
    node.client.close();
  }
  const adapter = io === "auto" ? "" : `, --io ${io}`;
  return {
    name: `Crosspoint${adapter}${accessLog ? "" : ", no access log"}`,
    product: "Crosspoint",
    version: io === "auto" && node.io !== "" ? `${node.version} (io=${node.io})` : node.version,
    side: "ours",
    port,
    program: node.program,
  };
}
