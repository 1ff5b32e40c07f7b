// Backend and contenders for one question: started in turn, handed over together, ended however the work ends.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type RunningBackend, startBackend } from "./backend.ts";
import { hasTwoCores, loadCore, proxyCore } from "./machine.ts";
import { type ContenderName, contenders } from "./proxies.ts";
import type { Job, RunningProxy } from "./proxy.ts";
import { withTemporaryFolder } from "./temporary-folder.ts";

export interface LineUpOptions {
  readonly mode: Job["mode"];
  readonly routes: number;
  readonly connections: number;
  /** Of the largest body; absent: small ones only. */
  readonly bodyBytes?: number;
  readonly workers: number;
  readonly contenders: readonly ContenderName[];
  /** Only these of `contenders`; empty: all. */
  readonly proxies: readonly string[];
}

export interface LineUp {
  readonly backend: RunningBackend;
  readonly proxies: readonly RunningProxy[];
  /** Where the load runs; absent: every core. */
  readonly loadCore: number | undefined;
  /** Who is missing, and why. */
  readonly skipped: readonly string[];
}

/** One worker has a core of its own; more share all cores with the load, as there may be only two. */
export function withLineUp<T>(
  options: LineUpOptions,
  work: (lineUp: LineUp) => Promise<T>,
): Promise<T> {
  return withTemporaryFolder(async (folder) => {
    const started: (RunningProxy | RunningBackend)[] = [];
    try {
      return await work(await start(options, folder, started));
    } finally {
      for (const { program } of started.toReversed()) await program.stop();
    }
  });
}

/** What runs is in `started`, also should a later one fail. */
async function start(
  options: LineUpOptions,
  folder: string,
  started: (RunningProxy | RunningBackend)[],
): Promise<LineUp> {
  const { mode, routes, connections, bodyBytes = 0, workers } = options;
  const isApart = workers === 1;
  const skipped = hasTwoCores() ? [] : ["no taskset or only one core: proxy and load share cores"];
  const backend = await startBackend({
    kind: mode === "web-socket" ? "web-socket" : "http",
    folder: join(folder, "backend"),
    core: isApart ? loadCore : undefined,
  });
  started.push(backend);
  const core = isApart ? proxyCore : undefined;
  const load = { mode, routes, connections, bodyBytes, workers };
  const job = { ...load, backendPort: backend.port, core };
  const proxies: RunningProxy[] = [];
  for (const name of options.contenders) {
    if (options.proxies.length > 0 && !options.proxies.includes(name)) continue;
    const own = join(folder, name.replaceAll("/", "-"));
    mkdirSync(own);
    const proxy = await contenders[name]({ ...job, folder: own });
    if (typeof proxy === "string") {
      console.log(`  skipped: ${proxy}`);
      skipped.push(proxy);
    } else {
      started.push(proxy);
      proxies.push(proxy);
    }
  }
  return { backend, proxies, loadCore: isApart ? loadCore : undefined, skipped };
}

/** Product -> version, of those that were measured; Node's in any case: load or backend may run on it. */
export function versionsOf(proxies: readonly RunningProxy[]): Readonly<Record<string, string>> {
  // An adapter that was asked for by name says nothing of what Crosspoint does by itself.
  const named = proxies.toReversed().map(({ product, version }) => [product, version] as const);
  const inOrder = [...new Map(named)].toReversed();
  return Object.fromEntries([...inOrder, ["Node", process.versions.node]]);
}
