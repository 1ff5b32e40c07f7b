// The real process around a run of the command: its streams, environment and version.

import { readVersion } from "../version.ts";
import type { Surroundings } from "./commander.ts";
import { terminalOf } from "./terminal.ts";

export function surroundings(): Surroundings {
  return {
    terminal: terminalOf(process.stdout, process.stderr, process.env),
    env: process.env,
    version: readVersion(),
  };
}

/** A reader that has seen enough (`crosspoint export | head`) is no error. */
export function endQuietlyWithoutReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit();
      throw error;
    });
  }
}
