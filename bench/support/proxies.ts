// The proxies that are compared, each started with the same job: one thread, N hosts, one backend.
//
// HAProxy and nginx are set as their own guides say for a keep-alive reverse proxy, without an access
// log; Crosspoint writes its access log to a file all the while, and once more runs without, as they do.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { addRoutes, startCrosspoint } from "./crosspoint.ts";
import { haproxyVersion, nginxVersion, proxyCore } from "./machine.ts";
import { nginxArguments, nginxConfiguration, temporaryPaths } from "./nginx.ts";
import { freePort, Program } from "./program.ts";

export interface Job {
  readonly mode: "http" | "tcp";
  readonly backendPort: number;
  /** Hosts, "r0.bench.test" and on; in TCP mode one port. */
  readonly routes: number;
  /** For configuration, logs and state; empty. */
  readonly folder: string;
}

export interface RunningProxy {
  readonly name: string;
  readonly version: string;
  readonly port: number;
  readonly program: Program;
}

/** Text instead of a proxy: why it is left out. */
export type Contender = (job: Job) => Promise<RunningProxy | string>;

/** In the order in which they are measured. */
export const contenders: Readonly<Record<string, Contender>> = {
  haproxy,
  nginx,
  crosspoint: (job) => crosspoint(job, true),
  "crosspoint-unlogged": (job) => crosspoint(job, false),
};

export function hostOf(route: number): string {
  return `r${route}.bench.test`;
}

async function haproxy(job: Job): Promise<RunningProxy | string> {
  const version = haproxyVersion();
  if (version === undefined) return "HAProxy is not installed";
  const port = await freePort();
  const map = join(job.folder, "hosts.map");
  const hosts = Array.from({ length: job.routes }, (_, route) => `${hostOf(route)} back\n`);
  writeFileSync(map, hosts.join(""));
  const route =
    job.mode === "http"
      ? `option forwardfor\n  use_backend %[req.hdr(host),field(1,:),lower,map(${map})]`
      : "default_backend back";
  const configuration = `global
  nbthread 1
  maxconn 4000
defaults
  mode ${job.mode}
  timeout connect 5s
  timeout client 60s
  timeout server 60s
${job.mode === "http" ? "  option http-keep-alive\n  http-reuse always\n" : ""}frontend front
  bind 127.0.0.1:${port}
  ${route}
backend back
  server one 127.0.0.1:${job.backendPort}${job.mode === "http" ? " pool-max-conn 1000" : ""}
`;
  const file = join(job.folder, "haproxy.cfg");
  writeFileSync(file, configuration);
  const program = Program.start({ command: "haproxy", args: ["-db", "-f", file], core: proxyCore });
  await program.waitForPort(port);
  return { name: "HAProxy", version, port, program };
}

async function nginx(job: Job): Promise<RunningProxy | string> {
  const version = nginxVersion();
  if (version === undefined) return "nginx is not installed";
  const port = await freePort();
  const names = Array.from({ length: job.routes }, (_, route) => hostOf(route)).join(" ");
  const http = `http {
  access_log off;
  keepalive_requests 1000000000;
  server_names_hash_max_size 65536;
  server_names_hash_bucket_size 128;
  ${temporaryPaths(job.folder)}
  upstream back { server 127.0.0.1:${job.backendPort}; keepalive 256; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:${port} default_server; return 404; }
  server {
    listen 127.0.0.1:${port};
    server_name ${names};
    location / {
      proxy_pass http://back;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
  }
}`;
  const stream = `stream {
  upstream back { server 127.0.0.1:${job.backendPort}; }
  server { listen 127.0.0.1:${port}; proxy_pass back; }
}`;
  const file = join(job.folder, "nginx.conf");
  writeFileSync(file, nginxConfiguration(job.folder, job.mode === "http" ? http : stream));
  const program = Program.start({ command: "nginx", args: nginxArguments(file), core: proxyCore });
  try {
    await program.waitForPort(port);
  } catch (reason) {
    const text = String(reason);
    if (/unknown directive "stream"/.test(text))
      return "nginx is installed without its stream module";
    throw reason;
  }
  return { name: "nginx", version, port, program };
}

async function crosspoint(job: Job, accessLog: boolean): Promise<RunningProxy | string> {
  // A TCP connection is one line, whatever goes through it: with or without is the same.
  if (!accessLog && job.mode === "tcp") return "Crosspoint without its access log: see with";
  const node = await startCrosspoint({
    folder: job.folder,
    store: "memory:",
    accessLog,
    workers: 1,
  });
  const backend = `127.0.0.1:${job.backendPort}`;
  const matches = Array.from({ length: job.routes }, (_, route) => hostOf(route));
  const tcpPort = job.mode === "tcp" ? await freePort() : undefined;
  try {
    await addRoutes(node, { service: "bench", backend, domains: tcpPort ? [] : matches, tcpPort });
  } catch (reason) {
    await node.program.stop();
    throw reason;
  } finally {
    node.client.close();
  }
  const port = tcpPort ?? node.httpPort;
  await node.program.waitForPort(port);
  const name = accessLog ? "Crosspoint" : "Crosspoint, no access log";
  return { name, version: node.version, port, program: node.program };
}
