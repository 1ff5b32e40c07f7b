// Relays where there are no descriptors left for a pipe, in a process of its own. Answers by exit code: 0 when every byte
// has arrived and was copied; else it says what happened.

import { closeSync, openSync } from "node:fs";
import { PatternReader, RelayWorld, sendPattern } from "./relay-world.ts";

const bytes = 8 * 1024 * 1024;
const world = await RelayWorld.open();
const { from, to, source, sink } = await world.pair();
const taken: number[] = [];
try {
  for (;;) taken.push(openSync("/dev/null", "r"));
} catch (error) {
  const code = error instanceof Error && "code" in error ? error.code : error;
  if (code !== "EMFILE") throw error;
}
from.stream.relayTo?.(to.stream, from);
const reader = new PatternReader(sink, () => from.stream.resume());
void sendPattern(source, 0, bytes);
await reader.untilBytes(bytes / 2);
const copied = from.relayed === 0 && from.copied > 0;
// Descriptors again: then pipes again.
for (const fd of taken) closeSync(fd);
await reader.untilBytes(bytes);
const isWhole = reader.bytes === bytes && reader.wrongAt < 0;
if (!copied || !isWhole || from.relayed === 0) {
  console.log({ relayed: from.relayed, copied: from.copied, wrongAt: reader.wrongAt });
  process.exitCode = 1;
}
await world.close();
