// Clients that ask and never read: node test/soak/stalled-readers.ts [readers=10000] [seconds=600]
//
// Each asks for 16 MiB and takes nothing of it. What the node keeps for them is bounded per reader, and flat over the
// time. By default the router cuts such a reader after some seconds (body-rate); here it must bear with all of them for
// good, so those limits are turned off. A good client is answered all the while. Runs in a
// network of its own whose buffers are small, so that the answers wait in the router and not in the kernel. A reader takes
// two descriptors of the node, its own and the backend's: those for whom `ulimit -Hn` is too low ask for a small answer,
// and do not read that. Ends with one line of figures, and with status 1 when a promise was broken. Linux only (proc(5)).

import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { isInOwnNetwork, rerunInOwnNetwork } from "../support/own-network.ts";
import { SideProcess } from "../support/side-process.ts";
import { SlowCrowd } from "../support/slow-crowd.ts";
import { type SoakNode, soakHost, withSoakNode } from "../support/soak-node.ts";
import { TimedAsker } from "../support/timed-asker.ts";

const mebibyte = 1024 * 1024;
/** What a stalled connection may cost, in bytes of the node's resident memory. */
const readerBytesMax = 96 * 1024;
/** What the heaps of a node may breathe by besides, in bytes. */
const breathBytesMax = 64 * mebibyte;
const samples = 10;
/** Of the node, besides those of the readers. */
const descriptorsBesides = 500;
/** The others ask for what fits into the kernel. */
const stalledShareMin = 0.9;

/** The node never has enough of a reader. */
const patience = ["--limit=body-rate=none", "--limit=body-idle-time=24h"];

export interface StalledReadersFigures {
  readonly readers: number;
  /** Whose answers the node had in its hands, at most at a time. */
  readonly stalled: number;
  readonly ended: number;
  /** Before the first reader. */
  readonly emptyBytes: number;
  /** From when all of them were there, over time. */
  readonly residentBytes: readonly number[];
  readonly asked: number;
  readonly failures: readonly string[];
}

export async function runStalledReaders(
  readers: number,
  seconds: number,
): Promise<StalledReadersFigures> {
  const backend = await SideProcess.start("backend-process.ts", ["large"]);
  try {
    const work = async ({ node, httpPort }: SoakNode): Promise<StalledReadersFigures> => {
      const ask = () => ({ method: "GET", path: "/small", headers: { host: soakHost }, body: "" });
      const asker = new TimedAsker(httpPort, ask, 20);
      await sleep(500);
      const emptyBytes = node.residentBytes();
      const crowd = new SlowCrowd(httpPort);
      const fitting = Math.min(readers, Math.floor((descriptorsMax() - descriptorsBesides) / 2));
      await crowd.add(fitting, "stalled");
      await crowd.add(readers - fitting, "unread");
      const residentBytes: number[] = [];
      let stalled = 0;
      for (let n = 0; n < samples; n++) {
        await sleep((seconds * 1000) / samples);
        residentBytes.push(node.residentBytes());
        const metrics = await node.metrics();
        stalled = Math.max(stalled, metrics.get("crosspoint_requests_in_flight") ?? 0);
      }
      const size = crowd.size;
      await asker.finish();
      crowd.close();
      return {
        readers: size,
        stalled,
        ended: crowd.ended,
        emptyBytes,
        residentBytes,
        asked: asker.ms.length,
        failures: asker.failures.map(({ what }) => what),
      };
    };
    return await withSoakNode([String(backend.ready)], work, patience);
  } finally {
    await backend.end();
  }
}

/** Every promise that the figures break; empty when all were kept. */
export function stalledReadersFailures(figures: StalledReadersFigures): string[] {
  const { residentBytes, emptyBytes, readers } = figures;
  const failures = figures.failures.map((what) => `a good client got ${what}`);
  const most = Math.max(...residentBytes) - emptyBytes;
  const bound = readers * readerBytesMax + breathBytesMax;
  if (most > bound) failures.push(`${inMebibytes(most)} MiB for ${readers} readers`);
  const half = residentBytes[Math.floor(residentBytes.length / 2)] ?? 0;
  const growth = (residentBytes.at(-1) ?? 0) - half;
  if (growth > breathBytesMax / 2) failures.push(`memory grew by ${inMebibytes(growth)} MiB`);
  if (figures.stalled < readers * stalledShareMin)
    failures.push(`the node had to wait for only ${figures.stalled} of ${readers} readers`);
  if (readers === 0 || figures.asked === 0) failures.push("nothing was shown");
  return failures;
}

/** Node raises its soft limit to this. */
function descriptorsMax(): number {
  const limit = execFileSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).trim();
  return limit === "unlimited" ? Number.MAX_SAFE_INTEGER : Number(limit);
}

function inMebibytes(bytes: number): number {
  return Math.round(bytes / mebibyte);
}

if (import.meta.main && !isInOwnNetwork) process.exitCode = await rerunInOwnNetwork();
else if (import.meta.main) {
  const figures = await runStalledReaders(
    Number(process.argv[2] ?? "10000"),
    Number(process.argv[3] ?? "600"),
  );
  const failures = stalledReadersFailures(figures);
  for (const line of failures.slice(0, 10)) console.error(line);
  const each = (figures.residentBytes.at(-1) ?? 0) - figures.emptyBytes;
  console.log(
    `stalled-readers: ${figures.readers} readers, for ${figures.stalled} of them the node waits (${figures.ended} were ended and replaced); RSS ${inMebibytes(figures.emptyBytes)} MiB without them, ` +
      `then ${figures.residentBytes.map(inMebibytes).join(", ")} MiB, that is ${Math.round(each / figures.readers / 1024)} KiB each; ` +
      `of ${figures.asked} good requests ${figures.failures.length} failed`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
