// A document's commands, typed into a real node: what they print, with that node's ports in place of the document's.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { start } from "../cli/program.ts";
import { root } from "./source-tree.ts";

export const mainFile = join(root, "src/main.ts");

export interface DemoNode {
  readonly running: ReturnType<typeof start>;
  readonly rpc: string;
  readonly admin: string;
  readonly httpPort: number;
  /** Stands for port 9000 of the documents. */
  readonly otherPort: number;
}

/** `npm start -- --demo` on free ports; ends with the test. */
export async function startDemo(): Promise<DemoNode> {
  const state = mkdtempSync(join(tmpdir(), "crosspoint-"));
  onTestFinished(() => rmSync(state, { recursive: true, force: true }));
  const addresses = ["--http", "--rpc", "--admin"].flatMap((flag) => [flag, "127.0.0.1:0"]);
  const words = ["--demo", ...addresses, "--state", state];
  const running = start(words, { script: mainFile });
  const ready = await running.printed(/^ready .*\n/m);
  const value = (key: string): string => new RegExp(`${key}=(\\S+)`).exec(ready)?.[1] ?? "";
  const httpPort = Number(value("http").split(":").at(-1));
  return {
    running,
    rpc: value("rpc"),
    admin: value("admin"),
    httpPort,
    otherPort: await freePort(),
  };
}

/** What a line of a document prints, with this node's ports in it. Rejects when it fails. */
export async function type(line: string, node: DemoNode): Promise<string> {
  const here = line
    .replaceAll("127.0.0.1:7070", node.rpc)
    .replaceAll(":8080", (port, at: number) =>
      // A port of the documents' own machine, not a backend's in a request.
      line.slice(0, at).endsWith(".localhost") ? `:${node.httpPort}` : port,
    )
    .replaceAll("9000", String(node.otherPort));
  const url = /^curl (\S+)$/.exec(here)?.[1];
  if (url !== undefined) return await get(new URL(url));
  if (here.startsWith("echo ")) return await run(here, node);
  const command = here
    .replace(/^npx crosspoint\b/, `"${process.execPath}" src/cli/main.ts`)
    .replace(/^npx node\b/, `"${process.execPath}"`)
    .replace(/^npx buf\b/, "node_modules/.bin/buf")
    // It would follow for ever.
    .replace(/main\.ts watch$/, "main.ts watch --timeout 2s");
  if (command === here) throw new Error(`no idea how to type ${line}`);
  return command.endsWith("&") ? await runBeside(command, node) : await run(command, node);
}

async function run(command: string, { rpc }: DemoNode): Promise<string> {
  const child = spawn("sh", ["-c", command], {
    cwd: root,
    env: { ...process.env, CROSSPOINT_RPC: rpc },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = once(child, "close");
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [status]: unknown[] = await closed;
  if (status !== 0) throw new Error(`${command} ended with ${String(status)}: ${stderr}`);
  return stdout;
}

/** Starts a server that `command` leaves in the background; it is there when this resolves. */
async function runBeside(command: string, { otherPort }: DemoNode): Promise<string> {
  const child = spawn("sh", ["-c", `exec ${command.slice(0, -1)}`], { cwd: root, stdio: "ignore" });
  onTestFinished(() => void child.kill("SIGKILL"));
  const url = new URL(`http://127.0.0.1:${otherPort}`);
  const end = performance.now() + 8_000;
  while (!(await get(url).then(yes, no))) {
    if (performance.now() > end) throw new Error(`nobody listens: ${command}`);
  }
  return "";
}

const yes = (): boolean => true;
const no = (): boolean => false;

/** As curl does it, `*.localhost` included; machines need not have curl. */
export async function get(url: URL): Promise<string> {
  const asked = request({
    host: "127.0.0.1",
    port: url.port,
    path: url.pathname,
    headers: { host: url.host },
    agent: false,
  });
  asked.end();
  const [response] = await once(asked, "response");
  return await text(response);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** The ```sh blocks of a document, of all its sections or of those with these headings. */
export function shellBlocks(path: string, ...headings: readonly string[]): string[] {
  return readFileSync(join(root, path), "utf8")
    .split(/^(?=#+ )/m)
    .filter((part) => headings.length === 0 || headings.includes(/^#+ (.*)/.exec(part)?.[1] ?? ""))
    .flatMap((part) => [...part.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block = ""]) => block));
}
