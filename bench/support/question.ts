// What bench/run.ts runs: a name, and a way to the answer.

import type { Effort } from "./effort.ts";
import type { Result } from "./results.ts";

export interface Question {
  /** As on the command line and in bench/results. */
  readonly name: string;
  run(effort: Effort): Promise<Result>;
}
