// Node's own peers as contenders: the servers of bench/peers, one process each. Their packages are no
// dependencies of ours: they are installed when they are asked for, from a lock file of their own, without install scripts.

import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, Program } from "./program.ts";
import type { Contender } from "./proxy.ts";

const folder = join(import.meta.dirname, "../peers");
const lock = join(folder, "package-lock.json");
/** The lock file that was installed last. */
const installedLock = join(folder, "node_modules/.installed-lock");

/** Package -> its server in bench/peers. */
const servers = {
  "http-proxy": "http-proxy.mjs",
  "fast-proxy": "fast-proxy.mjs",
  "@fastify/http-proxy": "fastify-http-proxy.mjs",
} as const;

/** How long npm may take, in ms. */
const installMsMax = 120_000;

export function nodePeer(name: keyof typeof servers): Contender {
  return async (job) => {
    if (job.mode !== "http") return `${name}: HTTP only`;
    const whyNot = installed();
    if (whyNot !== undefined) return `${name}: ${whyNot}`;
    const port = await freePort();
    const program = Program.start({
      command: process.execPath,
      args: [
        join(folder, servers[name]),
        String(port),
        String(job.backendPort),
        String(job.routes),
      ],
      core: job.core,
      environment: { NODE_ENV: "production" },
    });
    await program.waitForPort(port);
    return { name, product: name, version: versionOf(name), side: "peer", port, program };
  };
}

let outcome: { readonly whyNot: string | undefined } | undefined;

/** Undefined once they are installed; else why they are not. Tried once. */
function installed(): string | undefined {
  outcome ??= { whyNot: install() };
  return outcome.whyNot;
}

function install(): string | undefined {
  if (existsSync(installedLock) && readFileSync(installedLock).equals(readFileSync(lock))) {
    return undefined;
  }
  console.log("  installing Node's peers in bench/peers");
  const { status, error, stderr } = spawnSync(
    "npm",
    ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
    { cwd: folder, encoding: "utf8", timeout: installMsMax },
  );
  if (error !== undefined) return `npm ci failed: ${error.message}`;
  if (status !== 0) return `npm ci failed: ${stderr.trim().split("\n")[0] ?? `status ${status}`}`;
  copyFileSync(lock, installedLock);
  return undefined;
}

function versionOf(name: string): string {
  const text = readFileSync(join(folder, "node_modules", name, "package.json"), "utf8");
  return String((JSON.parse(text) as { version: unknown }).version);
}
