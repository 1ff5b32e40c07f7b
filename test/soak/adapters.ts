// Requests over one adapter while everybody misbehaves: node test/soak/adapters.ts [requests=500000] [--io NAME] [--seed N]
//
// One node with one worker, three backends, 160 keep-alive connections that pipeline; bodies of up to 64 KiB both
// ways, with a length or in chunks. Clients and backends reset, stall, half-close, send byte by byte, close while an
// answer is on its way, answer early, close idle connections. Every whole answer must be that of its own request, byte
// for byte, and so must every request be that a backend gets; whatever does not come must have a reason that was put in. In the end no
// gauge may be above 0, no descriptor more may be open than before, and the memory may not have grown. Prints its seed,
// figures every 30 s and in the end, and ends with status 1 when a promise was broken.

import { readdirSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { askedIo } from "../support/adapters.ts";
import type { ChildNode } from "../support/child-node.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { SideProcess } from "../support/side-process.ts";
import type { BackendFigures } from "../support/soak-backend-process.ts";
import { type ClientFigures, SoakCrowd } from "../support/soak-clients.ts";
import { soakHost, withSoakNode } from "../support/soak-node.ts";
import { patternOf } from "../support/soak-plan.ts";

const connections = 160;
const progressMs = 30_000;
/** Idle connections to backends are closed after 4 s. */
const quietMsMax = 20_000;
const mebibyte = 1024 * 1024;
/** How much more the node may occupy in the end than after a fifth of the requests. */
const growthBytesMax = 64 * mebibyte;
const growthShareMax = 0.25;

export interface AdapterSoakOptions {
  readonly io: string;
  readonly requests: number;
  readonly seed: number;
  readonly say: (line: string) => void;
}

export interface AdapterSoakFigures {
  readonly clients: ClientFigures;
  readonly backends: BackendFigures;
  readonly seconds: number;
  /** Of the processor, of the node, the backends and the clients, in s. */
  readonly cpuSeconds: readonly number[];
  /** Gauges that are not 0 in the end. */
  readonly open: readonly string[];
  readonly descriptorsBefore: number;
  readonly descriptorsAfter: number;
  /** After a fifth of the requests, and in the end. */
  readonly residentEarly: number;
  readonly residentLate: number;
}

export async function runAdapterSoak(options: AdapterSoakOptions): Promise<AdapterSoakFigures> {
  const { io, requests, seed } = options;
  const side = await SideProcess.start("soak-backend-process.ts", [String(seed)]);
  try {
    const flags = ["--workers=1", `--io=${io}`];
    return await withSoakNode(
      side.ready as string[],
      async ({ node, httpPort }) => {
        const soak = new AdapterSoak(node, side, options);
        const random = new SeededRandom(seed);
        const pattern = patternOf(seed);
        const many = Math.min(connections, Math.ceil(requests / 100));
        return await soak.run(
          new SoakCrowd({
            port: httpPort,
            host: soakHost,
            seed,
            requests,
            connections: many,
            pattern,
            random,
          }),
        );
      },
      flags,
    );
  } finally {
    await side.end();
  }
}

class AdapterSoak {
  readonly #node: ChildNode;
  readonly #side: SideProcess;
  readonly #options: AdapterSoakOptions;
  #residentEarly = 0;

  constructor(node: ChildNode, side: SideProcess, options: AdapterSoakOptions) {
    this.#node = node;
    this.#side = side;
    this.#options = options;
  }

  async run(crowd: SoakCrowd): Promise<AdapterSoakFigures> {
    await this.#quiet();
    const descriptorsBefore = this.#descriptors();
    const start = performance.now();
    const before = this.#cpuSeconds();
    const seconds = (): number => (performance.now() - start) / 1000;
    const progress = setInterval(() => this.#tell(crowd, seconds()), progressMs);
    const fifth = setInterval(() => {
      if (this.#residentEarly > 0 || crowd.figures.asked < this.#options.requests / 5) return;
      this.#residentEarly = this.#node.residentBytes();
    }, 100);
    try {
      await crowd.run();
    } finally {
      clearInterval(progress);
      clearInterval(fifth);
    }
    const took = seconds();
    this.#tell(crowd, took);
    const cpuSeconds = this.#cpuSeconds().map((cpu, i) => cpu - before[i]!);
    const open = await this.#quiet();
    return {
      cpuSeconds,
      clients: crowd.figures,
      backends: (await this.#side.ask({}, progressMs)) as BackendFigures,
      seconds: took,
      open,
      descriptorsBefore,
      descriptorsAfter: await this.#descriptorsAtMost(descriptorsBefore),
      residentEarly: this.#residentEarly,
      residentLate: this.#node.residentBytes(),
    };
  }

  #tell({ figures }: SoakCrowd, seconds: number): void {
    const { answered, refused, lostRaces, cut, behind, leftOut, wrong, faults } = figures;
    const rate = Math.round((answered + refused + lostRaces + cut + behind + leftOut) / seconds);
    this.#options.say(
      `${seconds.toFixed(0)} s: ${answered} answers (${rate} requests/s), ${faults} faulty clients, ` +
        `502 ${refused}+${lostRaces}, cut ${cut}+${behind}, left out ${leftOut}, ${wrong.length} wrong; ` +
        `${(this.#node.residentBytes() / mebibyte).toFixed(0)} MiB, ${this.#descriptors()} descriptors`,
    );
  }

  /** Waits until nothing is open; the gauges that still say so at the end of its patience. */
  async #quiet(): Promise<string[]> {
    const deadline = performance.now() + quietMsMax;
    for (;;) {
      const open: string[] = [];
      for (const [name, value] of await this.#node.metrics())
        if (value !== 0 && openGauges.test(name)) open.push(`${name} ${value}`);
      if (open.length === 0 || performance.now() > deadline) return open;
      await aWhile();
    }
  }

  #cpuSeconds(): number[] {
    return [this.#node.pid, this.#side.pid, process.pid].map(cpuSecondsOf);
  }

  #descriptors(): number {
    return readdirSync(`/proc/${this.#node.pid}/fd`).length;
  }

  async #descriptorsAtMost(most: number): Promise<number> {
    const deadline = performance.now() + quietMsMax;
    while (this.#descriptors() > most && performance.now() < deadline) await aWhile();
    return this.#descriptors();
  }
}

const openGauges =
  /^crosspoint_(?:connections_open|requests_in_flight|upstream_connections_(?:open|idle)|upgraded_connections_open|tcp_connections_open|worker_connections_open)\b/;

/** proc(5), stat: utime and stime, in hundredths. */
function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

const aWhile = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 100));

/** Every promise that the figures break; empty when all were kept. */
export function adapterSoakFailures(
  { clients, backends, ...figures }: AdapterSoakFigures,
  requests: number,
): string[] {
  const failures = [...clients.wrong, ...backends.wrong];
  const { answered, refused, lostRaces, cut, behind, leftOut } = clients;
  const known = answered + refused + lostRaces + cut + behind + leftOut;
  if (known !== requests) failures.push(`of ${requests} requests ${known} came to an end`);
  if (answered < requests * 0.7) failures.push(`only ${answered} of ${requests} were answered`);
  if (backends.requests < answered) failures.push("more answers than requests");
  if (lostRaces > backends.idleCloses)
    failures.push(`${lostRaces} 502 for ${backends.idleCloses} connections that ended unannounced`);
  if (requests >= 5_000 && (backends.faults === 0 || clients.faults === 0 || cut + refused === 0))
    failures.push("nobody misbehaved");
  for (const gauge of figures.open) failures.push(`in the end: ${gauge}`);
  const { descriptorsBefore, descriptorsAfter, residentEarly, residentLate } = figures;
  if (descriptorsAfter > descriptorsBefore)
    failures.push(`${descriptorsBefore} descriptors before, ${descriptorsAfter} after`);
  const residentMax = residentEarly * (1 + growthShareMax) + growthBytesMax;
  if (residentLate > residentMax)
    failures.push(`${residentEarly} bytes after a fifth, ${residentLate} in the end`);
  return failures;
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { io: { type: "string" }, seed: { type: "string" } },
  });
  const requests = Number(positionals[0] ?? "500000");
  const io = values.io ?? askedIo();
  const seed = Number(values.seed ?? process.pid);
  const say = (line: string): void => console.log(`adapters: io=${io} seed=${seed} ${line}`);
  say(`${requests} requests`);
  const figures = await runAdapterSoak({ io, requests, seed, say });
  const failures = adapterSoakFailures(figures, requests);
  for (const line of failures) console.error(line);
  const { clients, backends, seconds, descriptorsBefore, descriptorsAfter } = figures;
  const [node, backend, client] = figures.cpuSeconds.map((cpu) =>
    ((cpu * 1e6) / requests).toFixed(1),
  );
  say(`us of processor per request: node ${node}, backends ${backend}, clients ${client}`);
  say(
    `${clients.answered} answers and ${backends.requests} requests right byte for byte, ` +
      `${clients.wrong.length + backends.wrong.length} wrong, in ${seconds.toFixed(0)} s (${Math.round(requests / seconds)}/s); ` +
      `${backends.faults} faults of backends, ${clients.faults} of clients; open in the end: ${figures.open.join() || "nothing"}; ` +
      `descriptors ${descriptorsBefore}, then ${descriptorsAfter}; ` +
      `${(figures.residentEarly / mebibyte).toFixed(0)} MiB, then ${(figures.residentLate / mebibyte).toFixed(0)}`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
