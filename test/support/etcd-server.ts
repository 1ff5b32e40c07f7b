// A real etcd for tests: private ports of the loopback, a temporary directory, no fsync. It keeps its ports and
// data over kill and restart, and goes with the test process, however that ends. Needs `etcd` and `etcdctl`:
// see install-etcd.sh. For three members see etcd-cluster.ts.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";

/** PEM files for the client port. `clients` asks every client for a certificate of the same CA. */
export interface EtcdTls {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly clients: boolean;
}

export interface EtcdOptions {
  readonly extraArgs?: readonly string[];
  /** Default: a temporary one, removed by `stop`. One that is given stays. */
  readonly dataDir?: string;
  readonly tls?: EtcdTls;
}

/** What a member of a cluster is told beside that. */
interface MemberOptions extends EtcdOptions {
  readonly name: string;
  readonly clientPort: number;
  readonly peerPort: number;
  /** "m1=http://127.0.0.1:1,m2=…" */
  readonly initialCluster: string;
}

const readyMsMax = 15_000;
/** A single member elects itself after one election timeout: a fifth of the default makes starts quick. Leases of 1 s become possible. */
const quickElection = ["--heartbeat-interval=20", "--election-timeout=200"] as const;
const localTools = join(import.meta.dirname, "../../node_modules/.etcd/usr/bin");
const run = promisify(execFile);

export class EtcdServer {
  readonly name: string;
  /** "http://127.0.0.1:PORT", https with TLS. */
  readonly endpoint: string;
  readonly port: number;
  readonly dataDir: string;
  readonly #member: MemberOptions;
  readonly #temporary: string | undefined;
  #child: ChildProcess | undefined;
  #guard: ChildProcess | undefined;
  /** The end of what it wrote to standard error, for the message when it does not start. */
  #said = "";

  constructor(member: MemberOptions) {
    this.#member = member;
    this.name = member.name;
    this.port = member.clientPort;
    this.endpoint = `${member.tls === undefined ? "http" : "https"}://127.0.0.1:${member.clientPort}`;
    this.#temporary =
      member.dataDir === undefined ? mkdtempSync(join(tmpdir(), "crosspoint-etcd-")) : undefined;
    this.dataDir = member.dataDir ?? join(this.#temporary ?? "", "data");
  }

  /** Starts the process; see `ready`. */
  launch(): void {
    const child = spawn(findTool("etcd"), this.#arguments(), {
      stdio: ["ignore", "ignore", "pipe"],
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#said = (this.#said + text).slice(-4_000);
    });
    child.on("error", (error) => (this.#said += error.message));
    this.#child = child;
    this.#guard = guardOf(child.pid ?? 0, this.#temporary);
  }

  /** Resolves when a range is answered (or refused for lack of a user); needs a quorum. */
  async ready(): Promise<void> {
    const untilMs = Date.now() + readyMsMax;
    while (!(await this.#answers())) {
      const child = this.#child;
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`etcd ended at its start: ${this.#said}`);
      }
      if (Date.now() > untilMs) throw new Error(`etcd does not answer: ${this.#said}`);
      await pause(20);
    }
  }

  /** Resolves when the process is gone. Harmless when it is. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    const gone =
      child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined;
    child.kill(signal);
    await gone;
    // Only now: the guard ends what is left when this process dies.
    this.#guard?.kill("SIGKILL");
    this.#guard = undefined;
  }

  /** Kills it if it runs, and starts it again on the same ports and data; resolves when it answers. */
  async restart(): Promise<void> {
    await this.kill();
    this.launch();
    await this.ready();
  }

  /** Stops it where it stands (SIGSTOP): links stay open, nothing is answered. */
  freeze(): void {
    this.#child?.kill("SIGSTOP");
  }

  /** Ends `freeze`. */
  thaw(): void {
    this.#child?.kill("SIGCONT");
  }

  /** Removes all data; only while it is down. The next start makes a new, empty cluster with another id. */
  async wipe(): Promise<void> {
    if (this.#child !== undefined) throw new Error("wipe an etcd only while it is down");
    rmSync(this.dataDir, { recursive: true, force: true });
    await Promise.resolve();
  }

  /** Replaces all data by a file of `ctl("snapshot", "save", FILE)`; only while it is down. */
  async restore(file: string): Promise<void> {
    await this.wipe();
    const { name, initialCluster, peerPort } = this.#member;
    await this.ctl(
      "snapshot",
      "restore",
      file,
      `--data-dir=${this.dataDir}`,
      `--name=${name}`,
      `--initial-cluster=${initialCluster}`,
      `--initial-advertise-peer-urls=http://127.0.0.1:${peerPort}`,
    );
  }

  /** Runs etcdctl (API 3) against it; standard output, or rejects with what it said. */
  async ctl(...words: readonly string[]): Promise<string> {
    const { tls } = this.#member;
    const identity =
      tls === undefined
        ? []
        : [`--cacert=${tls.caFile}`, `--cert=${tls.certFile}`, `--key=${tls.keyFile}`];
    const { stdout } = await run(
      findTool("etcdctl"),
      [`--endpoints=${this.endpoint}`, ...identity, ...words],
      { env: { ...process.env, ETCDCTL_API: "3" }, maxBuffer: 256 * 1024 * 1024 },
    );
    return stdout;
  }

  /** Ends it and removes its directory. */
  async stop(): Promise<void> {
    await this.kill();
    if (this.#temporary !== undefined) rmSync(this.#temporary, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #arguments(): string[] {
    const { name, peerPort, initialCluster, tls, extraArgs = [] } = this.#member;
    const peer = `http://127.0.0.1:${peerPort}`;
    const secured =
      tls === undefined
        ? []
        : ["--cert-file", tls.certFile, "--key-file", tls.keyFile].concat(
            tls.clients ? ["--client-cert-auth", "--trusted-ca-file", tls.caFile] : [],
          );
    return [
      `--name=${name}`,
      `--data-dir=${this.dataDir}`,
      `--listen-client-urls=${this.endpoint}`,
      `--advertise-client-urls=${this.endpoint}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=${initialCluster}`,
      "--unsafe-no-fsync",
      "--logger=zap",
      "--log-level=error",
      ...secured,
      ...extraArgs,
    ];
  }

  /** Asks for one key over etcd's JSON gateway; any verdict of etcd itself but "no leader" will do. */
  #answers(): Promise<boolean> {
    const { tls } = this.#member;
    const options = { method: "POST", timeout: 1_000, agent: false } as const;
    const url = `${this.endpoint}/v3/kv/range`;
    const identity =
      tls === undefined
        ? undefined
        : {
            ca: readFileSync(tls.caFile),
            cert: readFileSync(tls.certFile),
            key: readFileSync(tls.keyFile),
            // Whether it answers is the question, not under which name.
            rejectUnauthorized: false,
          };
    return new Promise((resolve) => {
      const request =
        identity === undefined
          ? requestPlain(url, options)
          : requestTls(url, { ...options, ...identity });
      request.on("response", (answer) => {
        answer.resume();
        // 400: authentication is on and we name no user, so it is up.
        resolve(answer.statusCode === 200 || answer.statusCode === 400);
      });
      request.on("timeout", () => request.destroy());
      request.on("error", () => resolve(false));
      request.end(JSON.stringify({ key: "AA==", limit: 1 }));
    });
  }
}

/** One etcd, ready. The caller ends it: `onTestFinished(() => etcd.stop())` or in afterAll. */
export async function startEtcd(options: EtcdOptions = {}): Promise<EtcdServer> {
  // Somebody may take a port between our look and etcd's bind.
  for (let tries = 3; ; tries--) {
    const [clientPort = 0, peerPort = 0] = await freePorts(2);
    const initialCluster = `n=http://127.0.0.1:${peerPort}`;
    const extraArgs = [...quickElection, ...(options.extraArgs ?? [])];
    const plan = { name: "n", clientPort, peerPort, initialCluster, extraArgs };
    const server = new EtcdServer({ ...options, ...plan });
    try {
      server.launch();
      await server.ready();
      return server;
    } catch (error) {
      await server.stop();
      if (tries === 1 || !/address already in use/.test(String(error))) throw error;
    }
  }
}

/**
 * Ports that nobody listens on, below what the kernel lends to outgoing connections (32768 and up), so that
 * they are still free when an etcd comes back after a kill.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** The program's path: ETCD_BIN or ETCDCTL_BIN, PATH, or the copy that install-etcd.sh made. */
function findTool(name: "etcd" | "etcdctl"): string {
  const named = process.env[name === "etcd" ? "ETCD_BIN" : "ETCDCTL_BIN"];
  if (named !== undefined && named !== "") return named;
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), localTools];
  const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new Error(
    `${name} is missing: run test/support/install-etcd.sh, install the packages etcd-server and etcd-client, ` +
      "or set ETCD_BIN and ETCDCTL_BIN to the two programs of an etcd 3.4 or later",
  );
}

/** Ends `pid` when this process ends in whatever way: a shell that waits for the end of its standard input. */
function guardOf(pid: number, directory: string | undefined): ChildProcess {
  const script =
    'trap "" INT TERM HUP; read _; kill -9 "$1" 2>/dev/null; [ -z "$2" ] || rm -rf "$2"';
  const guard = spawn("sh", ["-c", script, "sh", String(pid), directory ?? ""], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  guard.on("error", () => {});
  guard.stdin.on("error", () => {});
  guard.unref();
  if ("unref" in guard.stdin && typeof guard.stdin.unref === "function") guard.stdin.unref();
  return guard;
}
