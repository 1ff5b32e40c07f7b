// nginx as a contender: set as its own guides say for a keep-alive reverse proxy, without an access log.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { nginxVersion } from "./machine.ts";
import { nginxArguments, nginxConfiguration, temporaryPaths } from "./nginx.ts";
import { freePort, Program } from "./program.ts";
import { hostsOf, type Job, type RunningProxy } from "./proxy.ts";

export async function nginx(job: Job): Promise<RunningProxy | string> {
  const version = nginxVersion();
  if (version === undefined) return "nginx is not installed";
  const port = await freePort();
  const { folder, workers } = job;
  const body = job.mode === "tcp" ? streamBlock(job, port) : httpBlock(job, port);
  const file = join(folder, "nginx.conf");
  writeFileSync(file, nginxConfiguration({ folder, workers, body }));
  const program = Program.start({ command: "nginx", args: nginxArguments(file), core: job.core });
  try {
    await program.waitForPort(port);
  } catch (reason) {
    if (/unknown directive "stream"/.test(String(reason))) {
      return "nginx is installed without its stream module (Debian: libnginx-mod-stream)";
    }
    throw reason;
  }
  return { name: "nginx", product: "nginx", version, side: "rival", port, program };
}

/** One queue of new connections per worker: with one for all, 64 lasting connections may all land at one worker. */
function listen({ workers }: Job, port: number): string {
  return `listen 127.0.0.1:${port} backlog=4096${workers > 1 ? " reuseport" : ""}`;
}

/**
 * The pool keeps as many connections as there are clients (`keepalive`), no number of requests ends one. Bodies
 * stream in both directions, as with the others: nothing waits for a whole upload, nothing goes to a file.
 */
function httpBlock(job: Job, port: number): string {
  const isWebSocket = job.mode === "web-socket";
  return `http {
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  client_max_body_size 0;
  server_names_hash_max_size 65536;
  server_names_hash_bucket_size 128;
  ${temporaryPaths(job.folder)}
  upstream back {
    server 127.0.0.1:${job.backendPort};
    keepalive ${job.connections + 100};
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
    keepalive_time 24h;
  }
  map $http_upgrade $connection_upgrade { default upgrade; "" ""; }
  server { ${listen(job, port)} default_server; return 404; }
  server {
    listen 127.0.0.1:${port};
    server_name ${hostsOf(job.routes).join(" ")};
    location / {
      proxy_pass http://back;
      proxy_http_version 1.1;
      ${isWebSocket ? "proxy_set_header Upgrade $http_upgrade;" : ""}
      proxy_set_header Connection ${isWebSocket ? "$connection_upgrade" : '""'};
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_request_buffering off;
      proxy_max_temp_file_size 0;
      proxy_read_timeout 300s;
      ${job.bodyBytes > 0 ? largeBuffers : ""}
    }
  }
}`;
}

/**
 * Where bodies are large, as its guides say. With its own of 4 to 32 KiB a body of 64 KB costs nginx 1.22 half as much again; for
 * HAProxy 2.6 its own 16 KiB are the best (with 64 KiB a body of 1 MB costs a tenth less, one of 64 KB half as much again).
 */
const largeBuffers =
  "proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k; client_body_buffer_size 64k;";

function streamBlock(job: Job, port: number): string {
  return `stream {
  tcp_nodelay on;
  upstream back { server 127.0.0.1:${job.backendPort}; }
  server { ${listen(job, port)}; proxy_pass back; }
}`;
}
