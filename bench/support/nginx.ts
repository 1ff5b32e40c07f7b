// How nginx is told to run here: one worker, in the foreground, all its files in one folder.

export function nginxConfiguration(folder: string, body: string): string {
  return `worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr error;
daemon off;
events { worker_connections 8000; }
${body}
`;
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
