// Goal: where wrk and nginx are missing, our own load and backends exchange what was asked for, and count it.
// Method: the programs as the bench starts them, the load straight on the backend for a fraction of a second.

import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, expect, test } from "vitest";
import { bodies, uploadPath } from "../../bench/support/bodies.ts";
import type { LoadOptions, LoadReport } from "../../bench/support/load.ts";
import { freePort, Program } from "../../bench/support/program.ts";

const support = join(import.meta.dirname, "../../bench/support");
let backend: Program | undefined;
afterEach(async () => await backend?.stop());

async function startBackend(file: string): Promise<number> {
  const port = await freePort();
  const args = [join(support, file), String(port)];
  backend = Program.start({ command: process.execPath, args, core: undefined });
  await backend.waitForPort(port);
  return port;
}

async function loadOn(
  backendFile: string,
  loadFile: string,
  options: Partial<LoadOptions>,
): Promise<LoadReport> {
  const port = await startBackend(backendFile);
  const all = {
    port,
    path: "/",
    host: "h",
    connections: 4,
    seconds: 0.3,
    closes: false,
    uploadBytes: 0,
    pipelined: 1,
    ...options,
  };
  const load = Program.start({
    command: process.execPath,
    args: [join(support, loadFile), JSON.stringify(all)],
    core: undefined,
    readsOutput: true,
  });
  return JSON.parse(await load.waitForEnd(20_000)) as LoadReport;
}

const http = ["backend-server.ts", "load-generator.ts"] as const;

test.for<[string, Partial<LoadOptions>]>([
  ["small answers", {}],
  ["large answers", { path: "/1m" }],
  ["uploads", { path: uploadPath, uploadBytes: bodies["/64k"] ?? Number.NaN }],
  ["uploads that are answered with a body", { path: "/1k", uploadBytes: 1 }],
  ["requests in batches", { pipelined: 8 }],
  ["uploads in batches", { path: uploadPath, uploadBytes: 3, pipelined: 8 }],
  ["a connection for each request", { closes: true }],
])("%s", { timeout: 30_000 }, async ([, options]) => {
  const report = await loadOn(...http, options);
  expect(report.errors).toBe(0);
  expect(report.requests).toBeGreaterThan(4);
  expect(report.p99Ms).toBeGreaterThanOrEqual(report.p50Ms);
  // The next batch waits for the whole of the last.
  expect(report.requests % (options.pipelined ?? 1)).toBe(0);
});

test("a body is no request, whatever it looks like", async () => {
  const port = await startBackend("backend-server.ts");
  const socket = connect(port, "127.0.0.1");
  const body = "GET /64k HTTP/1.1\r\n\r\n";
  socket.write(`POST / HTTP/1.1\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  socket.write("GET /1k HTTP/1.1\r\nConnection: close\r\n\r\n");
  const answers = await text(socket);
  const lengths = [...answers.matchAll(/Content-Length: (\d+)/g)].map(([, bytes]) => bytes);
  expect(lengths).toEqual(["100", "1024"]);
});

test("WebSocket messages", { timeout: 30_000 }, async () => {
  const report = await loadOn("web-socket-backend.ts", "web-socket-load.ts", {});
  expect(report.errors).toBe(0);
  expect(report.requests).toBeGreaterThan(4);
});

test("a WebSocket load says that it got no upgrade", { timeout: 30_000 }, async () => {
  const report = await loadOn("backend-server.ts", "web-socket-load.ts", { connections: 3 });
  expect(report).toMatchObject({ requests: 0, errors: 3 });
});

test("a program that does not end in time is killed, and that is an error", async () => {
  const program = Program.start({
    command: process.execPath,
    args: ["-e", "setInterval(() => {}, 1000)"],
    core: undefined,
    readsOutput: true,
  });
  await expect(program.waitForEnd(300)).rejects.toThrow(/SIGKILL/);
});
