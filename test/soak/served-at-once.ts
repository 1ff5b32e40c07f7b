// What AddRoute and RemoveRoute promise when they answer: node test/soak/served-at-once.ts [rounds=10000] [lanes=2]
//
// Each round adds a route with WAIT_NODE and at once, on a fresh connection, asks for it: the answer must come
// from the backend of the right service. Then it removes the route and at once asks again: 404. Every 20th round
// does the same with a TCP route whose port the node chooses: connected to the right backend, then refused. Few
// domains are used again and again for two services, so that an older table would be seen. The kernel spreads
// fresh connections over both workers, so either of them being late counts. Ends with one line of figures, and
// with status 1 when a promise was broken.

import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Wait } from "../../src/gen/crosspoint/v1/router.ts";
import { ChildNode } from "../support/child-node.ts";
import { freshEcho, freshGet, type Outcome } from "../support/fresh-connection.ts";
import { type NamedBackend, startHttpBackend, startTcpBackend } from "../support/named-backend.ts";
import { percentilesText } from "../support/percentiles.ts";
import { Client, routeFields } from "../support/rpc-node.ts";

const tcpEvery = 20;
const domains = 97;
const complaintsShown = 10;

export interface ServedAtOnceFigures {
  readonly rounds: number;
  readonly tcpRounds: number;
  /** Requests after AddRoute that did not reach the right backend. */
  readonly misses: number;
  /** Requests after RemoveRoute that still reached somebody, or got another answer than "no route". */
  readonly stale: number;
  /** Calls that answered with a lagging node. */
  readonly lagging: number;
  /** Of some connections at the end, how many each worker had: both must serve. */
  readonly perWorker: readonly number[];
  readonly addMs: readonly number[];
  readonly removeMs: readonly number[];
  readonly complaints: readonly string[];
}

/** @param lanes Rounds that run side by side: with more than one, changes travel in company. */
export async function runServedAtOnce(rounds: number, lanes: number): Promise<ServedAtOnceFigures> {
  const directory = mkdtempSync(join(tmpdir(), "crosspoint-served-"));
  const backends: NamedBackend[] = [];
  const node = new ChildNode({ directory, store: "memory:" });
  try {
    for (const name of ["http-a", "http-b"]) backends.push(await startHttpBackend(name));
    for (const name of ["tcp-a", "tcp-b"]) backends.push(await startTcpBackend(name));
    const { rpc, httpPort } = await node.ready;
    const client = new Client(rpc);
    for (const { name, address } of backends) {
      await client.call("registerBackend", { backend: { service: name, address } });
    }
    const run = new Rounds(client, httpPort);
    await Promise.all(
      Array.from({ length: lanes }, async (_, lane) => {
        for (let round = lane; round < rounds; round += lanes) await run.round(round, lane);
      }),
    );
    const perWorker = await connectionsPerWorker(node, httpPort);
    client.close();
    return { rounds, ...run.figures(), perWorker };
  } finally {
    await node.stop();
    for (const backend of backends) await backend.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

class Rounds {
  readonly #client: Client;
  readonly #httpPort: number;
  readonly #sum = { misses: 0, stale: 0, lagging: 0, tcpRounds: 0 };
  readonly #addMs: number[] = [];
  readonly #removeMs: number[] = [];
  readonly #complaints: string[] = [];
  /** One TCP round at a time: a port that became free may be the next one's at once. */
  #tcpTurn: Promise<void> = Promise.resolve();

  constructor(client: Client, httpPort: number) {
    this.#client = client;
    this.#httpPort = httpPort;
  }

  async round(round: number, lane: number): Promise<void> {
    if (round % tcpEvery === tcpEvery - 1) {
      this.#tcpTurn = this.#tcpTurn.then(() => this.#tcp(round));
      await this.#tcpTurn;
      return;
    }
    const host = `r${round % domains}.lane${lane}.example.com`;
    // Not in step with `domains`: the same host is the one's now and the other's later.
    const service = round % 3 === 0 ? "http-a" : "http-b";
    const name = (await this.#add(routeFields(host, service))).name;
    this.#expectFrom(service, await freshGet(this.#httpPort, host), `round ${round}, ${host}`);
    await this.#remove(name);
    const after = await freshGet(this.#httpPort, host);
    if (after.kind !== "answered" || after.status !== 404) this.#stale(after, `round ${round}`);
  }

  async #tcp(round: number): Promise<void> {
    this.#sum.tcpRounds++;
    const service = round % 3 === 0 ? "tcp-a" : "tcp-b";
    const name = `tcp-round-${round}`;
    const { port } = await this.#add(routeFields(0, service, { name }));
    this.#expectFrom(service, await freshEcho(port, `t${round}`), `round ${round}, port ${port}`);
    await this.#remove(name);
    const after = await freshEcho(port, `t${round}`);
    if (after.kind !== "refused") this.#stale(after, `round ${round}, port ${port}`);
  }

  async #add(route: object): Promise<{ readonly name: string; readonly port: number }> {
    const startMs = performance.now();
    const answer = await this.#client.call("addRoute", { route, wait: Wait.NODE });
    this.#addMs.push(performance.now() - startMs);
    this.#lag(answer.lagging);
    const match = answer.route?.match;
    const port = match?.$case === "tcp" ? match.value.port : 0;
    return { name: answer.route?.name ?? "", port };
  }

  async #remove(name: string): Promise<void> {
    const startMs = performance.now();
    const answer = await this.#client.call("removeRoute", { name, wait: Wait.NODE });
    this.#removeMs.push(performance.now() - startMs);
    this.#lag(answer.lagging);
  }

  #lag(lagging: readonly { readonly reason: string }[]): void {
    if (lagging.length === 0) return;
    this.#sum.lagging++;
    this.#complaints.push(`lagging: ${lagging[0]?.reason}`);
  }

  #expectFrom(name: string, outcome: Outcome, where: string): void {
    if (outcome.kind === "answered" && outcome.status === 200 && outcome.body === name) return;
    this.#sum.misses++;
    this.#complaints.push(`${where}: wanted ${name}, got ${JSON.stringify(outcome)}`);
  }

  #stale(outcome: Outcome, where: string): void {
    this.#sum.stale++;
    this.#complaints.push(`${where}: after the removal ${JSON.stringify(outcome)}`);
  }

  figures(): Omit<ServedAtOnceFigures, "rounds" | "perWorker"> {
    const [addMs, removeMs, complaints] = [this.#addMs, this.#removeMs, this.#complaints];
    return { ...this.#sum, addMs, removeMs, complaints };
  }
}

/** Holds some connections and reads from the metrics who has them. */
async function connectionsPerWorker(node: ChildNode, port: number): Promise<readonly number[]> {
  const held = Array.from({ length: 40 }, () => connect({ port, host: "127.0.0.1" }));
  try {
    for (let tries = 0; ; tries++) {
      const metrics = await node.metrics();
      const each = [...metrics].filter(([name]) =>
        name.startsWith("crosspoint_worker_connections_open{"),
      );
      const open = each.map(([, value]) => value);
      if (open.reduce((a, b) => a + b, 0) >= held.length || tries > 100) return open;
      await sleep(20);
    }
  } finally {
    for (const socket of held) socket.destroy();
  }
}

/** Every promise that the figures break; empty when all were kept. */
export function servedAtOnceFailures(figures: ServedAtOnceFigures): string[] {
  const { misses, stale, lagging, perWorker } = figures;
  const failures = Object.entries({ misses, stale, lagging })
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} ${name}`);
  if (perWorker.length < 2 || perWorker.includes(0))
    failures.push(`connections per worker: ${perWorker.join(" / ")}`);
  return failures;
}

if (import.meta.main) {
  const [rounds = "10000", lanes = "2"] = process.argv.slice(2);
  const figures = await runServedAtOnce(Number(rounds), Number(lanes));
  for (const line of figures.complaints.slice(0, complaintsShown)) console.error(line);
  const failures = servedAtOnceFailures(figures);
  console.log(
    `served-at-once: ${figures.rounds} rounds (${figures.tcpRounds} of them TCP), ${figures.misses} misses after AddRoute, ` +
      `${figures.stale} stale after RemoveRoute, ${figures.lagging} lagging; AddRoute ${percentilesText(figures.addMs)}, ` +
      `RemoveRoute ${percentilesText(figures.removeMs)}; connections per worker ${figures.perWorker.join(" / ")}`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
