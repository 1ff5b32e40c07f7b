// HAProxy and nginx before three backends of which one gets bad, as their manuals say for that: see bench/faults.ts.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  answerMsMax,
  checkEveryMs,
  checksDown,
  checksUp,
  connectMs,
  healthPath,
} from "./fault-modes.ts";
import { haproxyVersion, nginxVersion } from "./machine.ts";
import { nginxArguments, nginxConfiguration, temporaryPaths } from "./nginx.ts";
import { freePort, Program } from "./program.ts";

export interface FaultyJob {
  readonly backendPorts: readonly number[];
  readonly folder: string;
  readonly core: number | undefined;
}

/** A proxy with one way of choosing, before the three backends. */
export interface FaultyProxy {
  readonly port: number;
  readonly host: string;
  /** Ends it, or forgets its service. */
  end(): Promise<void>;
}

export interface FaultyContender {
  readonly name: string;
  readonly side: "HAProxy" | "nginx" | "Crosspoint";
  /** Without anything that leaves a bad backend out by what requests meet; for comparison only. */
  readonly isBare?: true;
  begin(job: FaultyJob): Promise<FaultyProxy>;
}

/** Those that are installed. */
export function rivals(): { readonly found: FaultyContender[]; readonly skipped: string[] } {
  const skipped: string[] = [];
  if (haproxyVersion() === undefined) skipped.push("HAProxy is not installed");
  if (nginxVersion() === undefined) skipped.push("nginx is not installed");
  return {
    found: [
      ...(haproxyVersion() === undefined ? [] : haproxies),
      ...(nginxVersion() === undefined ? [] : nginxes),
    ],
    skipped,
  };
}

const haproxies = ["random(2)", "leastconn"].flatMap((balance) =>
  [false, true].map(
    (observes): FaultyContender => ({
      name: `HAProxy ${balance}${observes ? ", observe layer7" : ""}`,
      side: "HAProxy",
      begin: (job) => startHaproxy(job, balance, observes),
    }),
  ),
);

const nginxes = ["", "least_conn"].map(
  (balance): FaultyContender => ({
    name: `nginx ${balance === "" ? "round robin" : balance}`,
    side: "nginx",
    begin: (job) => startNginx(job, balance),
  }),
);

/**
 * As a good operator has it: checks each second, three failures are down; another server when one does not answer at all
 * (redispatch, and what Crosspoint repeats by itself: a connection that broke before the answer). `observes`: ten errors in a
 * row, which is the default of error-limit, mark a server down.
 */
async function startHaproxy(
  { backendPorts, folder, core }: FaultyJob,
  balance: string,
  observes: boolean,
): Promise<FaultyProxy> {
  const port = await freePort();
  const file = join(folder, "haproxy.cfg");
  const check = `check inter ${checkEveryMs}ms fall ${checksDown} rise ${checksUp}`;
  const observe = observes ? " observe layer7 on-error mark-down" : "";
  const servers = backendPorts.map(
    (one, i) => `  server s${i} 127.0.0.1:${one} ${check}${observe}`,
  );
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 20000
  no strict-limits
defaults
  mode http
  timeout connect ${connectMs}ms
  timeout client 60s
  timeout server ${answerMsMax}ms
  timeout check ${checkEveryMs}ms
  option http-keep-alive
  http-reuse always
  retries 3
  option redispatch
  retry-on conn-failure empty-response
frontend front
  bind 127.0.0.1:${port}
  option forwardfor
  default_backend back
backend back
  balance ${balance}
  option httpchk GET ${healthPath}
${servers.join("\n")}
`,
  );
  const program = Program.start({ command: "haproxy", args: ["-db", "-f", file], core });
  await program.waitForPort(port);
  return { port, host: "faults.bench.test", end: () => program.stop() };
}

/** max_fails, fail_timeout and proxy_next_upstream as they are by default; without a zone, as with one worker it needs none. */
async function startNginx(
  { backendPorts, folder, core }: FaultyJob,
  balance: string,
): Promise<FaultyProxy> {
  const port = await freePort();
  const file = join(folder, "nginx.conf");
  const servers = backendPorts.map((one) => `server 127.0.0.1:${one};`).join(" ");
  const body = `http {
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  ${temporaryPaths(folder)}
  upstream back {
    ${balance === "" ? "" : `${balance};`}
    ${servers}
    keepalive 200;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://back;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_connect_timeout ${connectMs}ms;
      proxy_read_timeout ${answerMsMax}ms;
    }
  }
}`;
  writeFileSync(file, nginxConfiguration({ folder, workers: 1, body }));
  const program = Program.start({ command: "nginx", args: nginxArguments(file), core });
  await program.waitForPort(port);
  return { port, host: "faults.bench.test", end: () => program.stop() };
}
