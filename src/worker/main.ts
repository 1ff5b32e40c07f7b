// The worker thread's entry. The data path of one thread is put together in make-context.ts.

import type { WorkerStart } from "../channel/messages.ts";
import * as limits from "../limits.ts";
import { runWorker } from "./run-worker.ts";

// The one default export: piscina runs what the file exports by default.
export default function work(start: WorkerStart): Promise<void> {
  return runWorker(start, { ...limits, ...start.settings.limits }, { ownsThread: true });
}
