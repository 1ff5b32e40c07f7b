// Clients that ask and never read: node test/soak/stalled-readers.ts [readers=10000] [seconds=600]
//
// Each asks for a megabyte and takes nothing of it. What the node keeps for them is bounded per reader, and flat over
// the time: one whose time is up is cut by the router, and replaced. A good client is answered all the while. Ends with
// one line of figures, and with status 1 when a promise was broken. Linux only (proc(5)).

import { setTimeout as sleep } from "node:timers/promises";
import { startLargeBackend } from "../support/large-backend.ts";
import { SlowCrowd } from "../support/slow-crowd.ts";
import { soakHost, withSoakNode } from "../support/soak-node.ts";
import { TimedAsker } from "../support/timed-asker.ts";

const mebibyte = 1024 * 1024;
/** What a stalled connection may cost, in bytes of the node's resident memory. */
const readerBytesMax = 96 * 1024;
/** What the heaps of a node may breathe by besides, in bytes. */
const breathBytesMax = 64 * mebibyte;
const samples = 10;

export interface StalledReadersFigures {
  readonly readers: number;
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
  const backend = await startLargeBackend();
  try {
    return await withSoakNode([backend.address], async ({ node, httpPort }) => {
      const ask = () => ({ method: "GET", path: "/small", headers: { host: soakHost }, body: "" });
      const asker = new TimedAsker(httpPort, ask, 20);
      await sleep(500);
      const emptyBytes = node.residentBytes();
      const crowd = new SlowCrowd(httpPort);
      await crowd.add(readers, "stalled");
      const residentBytes: number[] = [];
      for (let n = 0; n < samples; n++) {
        await sleep((seconds * 1000) / samples);
        residentBytes.push(node.residentBytes());
      }
      const size = crowd.size;
      await asker.finish();
      crowd.close();
      return {
        readers: size,
        ended: crowd.ended,
        emptyBytes,
        residentBytes,
        asked: asker.ms.length,
        failures: asker.failures.map(({ what }) => what),
      };
    });
  } finally {
    await backend.close();
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
  if (readers === 0 || figures.asked === 0) failures.push("nothing was shown");
  return failures;
}

function inMebibytes(bytes: number): number {
  return Math.round(bytes / mebibyte);
}

if (import.meta.main) {
  const figures = await runStalledReaders(
    Number(process.argv[2] ?? "10000"),
    Number(process.argv[3] ?? "600"),
  );
  const failures = stalledReadersFailures(figures);
  for (const line of failures.slice(0, 10)) console.error(line);
  const each = (figures.residentBytes.at(-1) ?? 0) - figures.emptyBytes;
  console.log(
    `stalled-readers: ${figures.readers} readers (${figures.ended} ended and replaced); RSS ${inMebibytes(figures.emptyBytes)} MiB without them, ` +
      `then ${figures.residentBytes.map(inMebibytes).join(", ")} MiB, that is ${Math.round(each / figures.readers / 1024)} KiB each; ` +
      `of ${figures.asked} good requests ${figures.failures.length} failed`,
  );
  process.exitCode = failures.length === 0 ? 0 : 1;
}
