// The backend behind every proxy: answers 100 bytes, or 1 KB, 64 KB, 1 MB at the paths of `bodies`, takes
// bodies of any size, as fast as the machine can. nginx when it is installed, else a small server on raw sockets.
// For WebSocket a server that echoes frames, always our own.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bodies, smallBytes, uploadPath } from "./bodies.ts";
import { nginxVersion } from "./machine.ts";
import { nginxArguments, nginxConfiguration, temporaryPaths } from "./nginx.ts";
import { freePort, Program } from "./program.ts";

export interface BackendOptions {
  readonly kind: "http" | "web-socket";
  readonly folder: string;
  /** Absent: every core. */
  readonly core: number | undefined;
}

export interface RunningBackend {
  readonly name: string;
  readonly port: number;
  readonly program: Program;
  /** Connections that it accepted so far, this question's own included; undefined: it does not count. */
  accepted(): Promise<number | undefined>;
}

const statusPath = "/status";

export async function startBackend(options: BackendOptions): Promise<RunningBackend> {
  mkdirSync(options.folder, { recursive: true });
  const port = await freePort();
  const version = options.kind === "http" ? nginxVersion() : undefined;
  const own = options.kind === "http" ? "backend-server.ts" : "web-socket-backend.ts";
  const program =
    version === undefined
      ? Program.start({
          command: process.execPath,
          args: [join(import.meta.dirname, own), String(port)],
          core: options.core,
        })
      : nginxBackend(options, port);
  await program.waitForPort(port);
  return {
    name: version === undefined ? "node:net" : `nginx ${version}`,
    port,
    program,
    accepted: () => (version === undefined ? Promise.resolve(undefined) : acceptedByNginx(port)),
  };
}

/** From what stub_status prints: "server accepts handled requests", and below it those three numbers. */
async function acceptedByNginx(port: number): Promise<number> {
  const headers = { connection: "close" };
  const answer = await fetch(`http://127.0.0.1:${port}${statusPath}`, { headers });
  const accepts = /requests\s+(\d+)/.exec(await answer.text())?.[1];
  return Number(accepts ?? Number.NaN);
}

/**
 * nginx has no directive to take a body and forget it: `return` answers before the body is there, which would
 * cost every proxy its connection. `mirror` takes it whole; a file cannot be posted to, and that error is our answer.
 */
function uploadLocation(folder: string): string {
  return `location = ${uploadPath} {
      client_body_buffer_size ${Math.max(...Object.values(bodies))};
      mirror /mirrored;
      error_page 405 =200 /small;
      alias ${folder}/1k;
    }
    location = /mirrored { internal; return 204; }`;
}

function nginxBackend({ folder, core }: BackendOptions, port: number): Program {
  const locations = Object.entries(bodies).map(([path, bytes]) => {
    writeFileSync(join(folder, path.slice(1)), Buffer.alloc(bytes, "x"));
    return `location = ${path} { alias ${folder}${path}; sendfile on; tcp_nopush on; open_file_cache max=10; }`;
  });
  const body = `http {
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  client_max_body_size 0;
  ${temporaryPaths(folder)}
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = ${statusPath} { stub_status; }
    location / { return 200 "${"x".repeat(smallBytes)}"; }
    ${locations.join("\n    ")}
    ${uploadLocation(folder)}
  }
}`;
  const file = join(folder, "nginx.conf");
  writeFileSync(file, nginxConfiguration({ folder, workers: 1, body }));
  return Program.start({ command: "nginx", args: nginxArguments(file), core });
}
