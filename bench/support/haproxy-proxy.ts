// HAProxy as a contender: set as its manual says for a keep-alive reverse proxy, without a log.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { haproxyVersion } from "./machine.ts";
import { freePort, Program } from "./program.ts";
import { type Contender, hostsOf, type Job } from "./proxy.ts";

export interface HaproxyOptions {
  /** `option splice-auto`: the kernel moves bytes from socket to socket. */
  readonly splices: boolean;
}

export function haproxy(options: HaproxyOptions): Contender {
  return async (job) => {
    const version = haproxyVersion();
    if (version === undefined) return "HAProxy is not installed";
    const port = await freePort();
    const file = join(job.folder, "haproxy.cfg");
    writeFileSync(file, configuration(job, options, port));
    const program = Program.start({
      command: "haproxy",
      args: ["-db", "-f", file],
      core: job.core,
    });
    await program.waitForPort(port);
    const name = options.splices ? "HAProxy, splice-auto" : "HAProxy";
    return { name, product: "HAProxy", version, side: "rival", port, program };
  };
}

/** As large as anybody would set it; more when the load needs it. Pools and the listener's backlog are derived from it. */
const connectionsMin = 4_000;

/**
 * Idle connections to the backend are kept as long as between two rounds (default: halved every 5 s), as many as
 * there were, and however many descriptors that takes (default: closed at once from a quarter of them on).
 */
function configuration(job: Job, { splices }: HaproxyOptions, port: number): string {
  const isHttp = job.mode !== "tcp";
  return `global
  nbthread ${job.workers}
  maxconn ${Math.max(connectionsMin, job.connections + 100)}
  no strict-limits
  tune.pool-low-fd-ratio 90
  tune.pool-high-fd-ratio 95
defaults
  mode ${isHttp ? "http" : "tcp"}
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout tunnel 300s
  ${splices ? "option splice-auto" : "no option splice-auto"}
${isHttp ? "  option http-keep-alive\n  http-reuse always\n" : ""}frontend front
  bind 127.0.0.1:${port}
  ${isHttp ? httpRouting(job) : "default_backend back"}
backend back
  server one 127.0.0.1:${job.backendPort}${isHttp ? ` pool-max-conn ${job.connections + 100} pool-purge-delay 300s` : ""}
`;
}

/** Hosts by a map, which is a tree: not one rule after another. */
function httpRouting({ folder, routes }: Job): string {
  const map = join(folder, "hosts.map");
  writeFileSync(
    map,
    hostsOf(routes)
      .map((host) => `${host} back\n`)
      .join(""),
  );
  return `option forwardfor
  http-request set-header X-Forwarded-Proto http
  use_backend %[req.hdr(host),field(1,:),lower,map(${map})]`;
}
