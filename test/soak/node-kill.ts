// kill -9 of a whole node under writes: node test/soak/node-kill.ts [rounds=100]
//
// Four clients write over gRPC: AddRoute, RemoveRoute, ApplyChanges of 5 to 50 changes, TCP routes whose port the
// node chooses, some with a request_id. At a random moment the process is killed and started again on the same
// SQLite file; now and then it is killed while it starts, too. Then Watch and ListRoutes must show every
// acknowledged write under its revision, every write whole or not at all (write-ledger.ts), the same call with the
// same request_id must answer the same and have no second effect, and traffic must go where the table says. Ends
// with one line of figures, and with status 1 when a promise was broken. SEED=n repeats the choices, as far as the
// machine allows.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Snapshot } from "../../src/model/change.ts";
import { type Revision, revisionZero } from "../../src/model/revision.ts";
import type { Route } from "../../src/model/route.ts";
import { ChildNode, type NodeAddresses } from "../support/child-node.ts";
import { freshEcho, freshGet, type Outcome } from "../support/fresh-connection.ts";
import { type KillWrite, KillWriter } from "../support/kill-writer.ts";
import { type NamedBackend, startHttpBackend, startTcpBackend } from "../support/named-backend.ts";
import { Client } from "../support/rpc-node.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { foundThrough, nameOf, withoutPorts } from "../support/table-over-rpc.ts";
import { brokenPromises } from "./write-ledger.ts";

const writers = 4;
const httpServices = ["web-0", "web-1", "web-2"];
const tcpService = "lines";
/** The longest that a node is left writing before it is killed, in ms. */
const writingMsMax = 400;
/** Routes asked for after each start, present and removed ones. */
const asksMax = 60;

export interface NodeKillFigures {
  readonly rounds: number;
  readonly killedWhileStarting: number;
  readonly acknowledged: number;
  readonly unanswered: number;
  /** Of those, found stored (whole). */
  readonly unansweredStored: number;
  /** ApplyChanges among the acknowledged. */
  readonly applied: number;
  /** Calls made again with their request_id after the restart. */
  readonly repeated: number;
  readonly asked: number;
  readonly routes: number;
  readonly revision: number;
  readonly broken: readonly string[];
}

export async function runNodeKill(rounds: number, seed: number): Promise<NodeKillFigures> {
  const directory = mkdtempSync(join(tmpdir(), "crosspoint-node-kill-"));
  const backends: NamedBackend[] = [];
  const run = new KillRounds(directory, seed);
  try {
    for (const name of httpServices) backends.push(await startHttpBackend(name));
    backends.push(await startTcpBackend(tcpService));
    await run.begin(backends);
    for (let round = 0; round < rounds; round++) await run.round(round);
    return run.figures(rounds);
  } finally {
    await run.end();
    for (const backend of backends) await backend.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

class KillRounds {
  readonly #random: SeededRandom;
  readonly #directory: string;
  readonly #writers: readonly KillWriter[];
  readonly #sum = {
    killedWhileStarting: 0,
    acknowledged: 0,
    unanswered: 0,
    unansweredStored: 0,
    applied: 0,
    repeated: 0,
    asked: 0,
  };
  readonly #broken: string[] = [];
  #node: ChildNode;
  #client: Client | undefined;
  /** What was there when the last round ended. */
  #from: Snapshot = { revision: revisionZero, routes: [], services: [], backends: [] };

  constructor(directory: string, seed: number) {
    this.#directory = directory;
    this.#random = new SeededRandom(seed);
    this.#node = this.#start();
    this.#writers = Array.from({ length: writers }, (_, n) => {
      const options = { prefix: `w${n}`, random: new SeededRandom(seed * 31 + n) };
      return new KillWriter({ ...options, httpServices, tcpService });
    });
  }

  async begin(backends: readonly NamedBackend[]): Promise<void> {
    const client = await this.#connect();
    for (const { name, address } of backends) {
      await client.call("registerBackend", { backend: { service: name, address } });
    }
    this.#from = (await foundThrough(client, undefined)).snapshot;
  }

  async round(round: number): Promise<void> {
    const complain = (line: string): void => void this.#broken.push(`round ${round}: ${line}`);
    const { rpc } = await this.#node.ready;
    const writing = this.#writers.map((writer) =>
      writer.writeUntilCut(rpc, `${round}`, this.#from.routes),
    );
    await sleep(this.#random.next() * writingMsMax);
    await this.#node.kill();
    const written = await Promise.all(writing);
    for (const { unexpected } of written) unexpected.forEach(complain);
    const writes = written.flatMap((one) => one.writes);

    const addresses = await this.#restart();
    const client = await this.#connect();
    const found = await foundThrough(client, this.#from.revision);
    const ledger = writes.map(({ entry }) => entry);
    const { snapshot: before } = withoutPorts({ snapshot: this.#from, history: [] });
    brokenPromises(ledger, before, withoutPorts(found)).forEach(complain);
    const acknowledged = ledger.filter(({ revision }) => revision !== undefined).length;
    this.#sum.acknowledged += acknowledged;
    this.#sum.unanswered += ledger.length - acknowledged;
    this.#sum.unansweredStored += found.history.length - acknowledged;
    this.#sum.applied += writes.filter(
      ({ method, entry }) => method === "applyChanges" && entry.revision !== undefined,
    ).length;

    await this.#repeat(client, writes, found.snapshot.revision, complain);
    this.#from = (await foundThrough(client, found.snapshot.revision)).snapshot;
    await this.#ask(addresses, writes, complain);
  }

  /** Starts the node again, now and then after another kill on the way up. */
  async #restart(): Promise<NodeAddresses> {
    if (this.#random.chance(0.2)) {
      this.#node = this.#start();
      await sleep(this.#random.next() * 700);
      await this.#node.kill();
      this.#sum.killedWhileStarting++;
    }
    this.#node = this.#start();
    return await this.#node.ready;
  }

  /** Every call that had a request_id, again: answered as before, stored once. */
  async #repeat(
    client: Client,
    writes: readonly KillWrite[],
    revision: Revision,
    complain: (line: string) => void,
  ): Promise<void> {
    let expected: number = revision;
    for (const write of writes.filter(({ requestId }) => requestId !== "")) {
      this.#sum.repeated++;
      const again = await write.repeat(client).catch((error: unknown) => `fails: ${String(error)}`);
      if (typeof again === "string") {
        complain(`${write.requestId} again ${again}`);
      } else if (write.answer !== undefined && again.text !== write.answer) {
        complain(`${write.requestId} again answers ${again.text}, before ${write.answer}`);
      } else if (again.revision > expected) {
        // Only what was cut off and had not been stored may still have its effect: its first.
        if (write.answer !== undefined) complain(`${write.requestId} has a second effect`);
        expected++;
      }
    }
    const { revision: now } = await client.call("listRoutes", { pageSize: 1 });
    if (Number(now) !== expected)
      complain(`after the repetition the table is at ${now}, not ${expected}`);
  }

  /** Traffic goes where the table says, and what was removed is not served. */
  async #ask(
    { httpPort }: NodeAddresses,
    writes: readonly KillWrite[],
    complain: (line: string) => void,
  ): Promise<void> {
    const present = new Map<string, Route>(this.#from.routes.map((route) => [route.name, route]));
    const named = writes.flatMap(({ entry }) => entry.changes.map(nameOf));
    const names = [...new Set([...named, ...present.keys()])].slice(0, asksMax);
    const wrong = await Promise.all(
      names.map(async (name) => {
        const route = present.get(name);
        const { outcome, expected } =
          route?.match.kind === "tcp"
            ? { outcome: await freshEcho(route.match.port, name), expected: `200 ${tcpService}` }
            : {
                outcome: await freshGet(httpPort, `${name}.example.com`),
                expected: route === undefined ? "404" : `200 ${route.service}`,
              };
        const got = outcomeText(outcome);
        return got.startsWith(expected) ? [] : [`${name}: wanted ${expected}, got ${got}`];
      }),
    );
    this.#sum.asked += names.length;
    wrong.flat().forEach(complain);
  }

  figures(rounds: number): NodeKillFigures {
    const { routes, revision } = this.#from;
    return { rounds, ...this.#sum, routes: routes.length, revision, broken: this.#broken };
  }

  async end(): Promise<void> {
    this.#client?.close();
    await this.#node.kill();
  }

  #start(): ChildNode {
    const store = `sqlite:${join(this.#directory, "routes.db")}`;
    return new ChildNode({ directory: this.#directory, store });
  }

  async #connect(): Promise<Client> {
    this.#client?.close();
    this.#client = new Client((await this.#node.ready).rpc);
    return this.#client;
  }
}

function outcomeText(outcome: Outcome): string {
  if (outcome.kind === "answered") return `${outcome.status} ${outcome.body}`;
  return outcome.kind === "late" ? "late" : `${outcome.kind}: ${outcome.error}`;
}

/** Every promise that the figures break; empty when all were kept. */
export function nodeKillFailures({ broken, acknowledged, repeated }: NodeKillFigures): string[] {
  const idle = acknowledged === 0 || repeated === 0;
  return idle ? [...broken, "nothing was written or repeated"] : [...broken];
}

if (import.meta.main) {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  const figures = await runNodeKill(Number(process.argv[2] ?? "100"), seed);
  const failures = nodeKillFailures(figures);
  for (const line of failures.slice(0, 10)) console.error(line.slice(0, 500));
  console.log(
    `node-kill: ${figures.rounds} rounds of kill -9 (${figures.killedWhileStarting} more while it started), ` +
      `${figures.acknowledged} writes acknowledged (${figures.applied} of them ApplyChanges), ` +
      `${figures.unanswered} cut off (${figures.unansweredStored} of them stored whole), ` +
      `${figures.repeated} calls repeated by request_id, ${figures.asked} routes asked for, ` +
      `${figures.routes} routes at revision ${figures.revision}, ${figures.broken.length} promises broken (SEED=${seed})`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
