// `crosspoint serve` for whoever already is a node: `npm start` runs src/main.ts, which asks here what
// its flags mean.

import type { Config } from "../config.ts";
import { dispatch } from "./commander.ts";
import { serveCommand } from "./commands/serve.ts";
import { surroundings } from "./surroundings.ts";

/**
 * Reads `argv` (flags of `crosspoint serve`), runs `serve` with what they mean, and answers the exit
 * status: 2 for wrong settings, which are told on standard error.
 */
export function runServe(
  argv: readonly string[],
  serve: (config: Config) => Promise<number>,
): Promise<number> {
  return dispatch([serveCommand(serve)], ["serve", ...argv], surroundings());
}
