// A folder for configurations, logs and scripts: gone with the work, and with this process should that end first.

import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folders = new Set<string>();

process.once("exit", () => {
  for (const folder of folders) remove(folder);
});

export async function withTemporaryFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "crosspoint-bench-"));
  folders.add(folder);
  // Started by root, nginx reads as nobody.
  chmodSync(folder, 0o755);
  try {
    return await work(folder);
  } finally {
    folders.delete(folder);
    remove(folder);
  }
}

/** Somebody who was just killed may still write into it: then again. */
function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
