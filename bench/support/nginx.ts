// How nginx is told to run here: in the foreground, all its files in one folder.

import { existsSync } from "node:fs";
import { join } from "node:path";

export interface NginxOptions {
  readonly folder: string;
  readonly workers: number;
  /** The `http` or `stream` block. */
  readonly body: string;
}

/** Of one worker: those of clients and of the backend. */
const workerConnections = 40_000;

/** Where distributions put what can be loaded; NGINX_MODULES names another folder. */
const moduleFolders = [
  process.env["NGINX_MODULES"],
  "/usr/lib/nginx/modules",
  "/usr/lib64/nginx/modules",
  "/usr/share/nginx/modules",
];

export function nginxConfiguration({ folder, workers, body }: NginxOptions): string {
  return `${body.startsWith("stream") ? streamModule() : ""}worker_processes ${workers};
pid ${folder}/nginx.pid;
error_log stderr error;
daemon off;
events { worker_connections ${workerConnections}; }
${body}
`;
}

/** The line that loads it; nothing when it may be built in. */
function streamModule(): string {
  const files = moduleFolders
    .filter((folder) => folder !== undefined && folder !== "")
    .map((folder) => join(folder ?? "", "ngx_stream_module.so"));
  const file = files.find((one) => existsSync(one));
  return file === undefined ? "" : `load_module ${file};\n`;
}

/** `-e`: without it nginx complains about a log in a folder that only root may write. */
export function nginxArguments(file: string): readonly string[] {
  return ["-e", "stderr", "-c", file];
}

export function temporaryPaths(folder: string): string {
  return ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `${kind}_temp_path ${folder}/${kind};`)
    .join(" ");
}
