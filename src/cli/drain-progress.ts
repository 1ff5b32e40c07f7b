// What a terminal shows while a backend drains: how much is still open there on the node that was asked, and how long
// it may take. Asked from time to time; what goes wrong with that is not worth a word.

import { realSystem } from "../system.ts";
import type { NodeClient } from "./client.ts";
import { printable } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** People read no faster, in ms. */
const everyMs = 1_000;

export async function withDrainProgress<T>(
  work: Promise<T>,
  { progress }: Pick<Terminal, "progress">,
  node: Pick<NodeClient, "backends">,
  drain: { readonly service: string; readonly address: string; readonly untilMs: number },
): Promise<T> {
  if (progress === undefined) return await work;
  let isOver = false;
  const look = async (): Promise<void> => {
    const { backends } = await node.backends(drain.service);
    const found = backends.find(({ backend }) => backend?.address === drain.address);
    if (!isOver && found !== undefined) progress(lineOf(drain, found.requestsInFlight));
  };
  const end = realSystem.every(everyMs, () => void look().catch(() => {}));
  try {
    return await work;
  } finally {
    isOver = true;
    end();
    progress("");
  }
}

function lineOf(
  { service, address, untilMs }: Parameters<typeof withDrainProgress>[3],
  inFlight: number,
): string {
  const leftS = Math.max(0, Math.ceil((untilMs - realSystem.wallMs()) / 1000));
  const which = printable(`${service} -> ${address}`);
  return `draining ${which}: ${inFlight} open on this node, ${leftS} s left`;
}
