// The prober thread's entry.

import { parentPort, workerData } from "node:worker_threads";
import type { ProberStart } from "../channel/prober-messages.ts";
import { assert } from "../model/errors.ts";
import { runProber } from "./run-prober.ts";

assert(parentPort !== null, "the prober is a thread of its own");
const start: ProberStart = workerData;
runProber(start, parentPort, true);
