// What a node says on its admin port before it has a table: that it lives, is not ready, and what it waits for.

import type { AdminProviders, Check } from "./admin-server.ts";

/** @param waitsFor In words: "the store etcd:http://10.0.0.5:2379/crosspoint: connection refused". */
export function startingReport(waitsFor: () => string): AdminProviders {
  const checks = (): readonly Check[] => [{ name: "starting", ok: false, detail: waitsFor() }];
  return {
    health: checks,
    ready: () => ({ ready: false, checks: checks() }),
    metrics: () => "",
    snapshot: () => ({ starting: waitsFor() }),
  };
}
