// The backend behind every proxy: answers 100 bytes, or 1 MiB at /large, as fast as the machine can.
// nginx when it is installed, else a small server on raw sockets.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadCore, nginxVersion } from "./machine.ts";
import { nginxArguments, nginxConfiguration, temporaryPaths } from "./nginx.ts";
import { freePort, Program } from "./program.ts";

export const smallBytes = 100;
export const largeBytes = 1024 * 1024;

export interface RunningBackend {
  readonly name: string;
  readonly port: number;
  readonly program: Program;
}

export async function startBackend(parentFolder: string): Promise<RunningBackend> {
  const folder = join(parentFolder, "backend");
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const version = nginxVersion();
  const program =
    version === undefined
      ? Program.start({
          command: process.execPath,
          args: [join(import.meta.dirname, "backend-server.ts"), String(port)],
          core: loadCore,
        })
      : nginxBackend(folder, port);
  await program.waitForPort(port);
  return { name: version === undefined ? "node:net" : `nginx ${version}`, port, program };
}

function nginxBackend(folder: string, port: number): Program {
  writeFileSync(join(folder, "large"), Buffer.alloc(largeBytes, "x"));
  const file = join(folder, "nginx.conf");
  const server = `http {
  access_log off;
  keepalive_requests 1000000000;
  ${temporaryPaths(folder)}
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { return 200 "${"x".repeat(smallBytes)}"; }
    location = /large { alias ${folder}/large; sendfile on; }
  }
}`;
  writeFileSync(file, nginxConfiguration(folder, server));
  return Program.start({ command: "nginx", args: nginxArguments(file), core: loadCore });
}
