// A TableSource on a scripted store and a clock under the test's hand.

import { expect, onTestFinished } from "vitest";
import { TableSource, type TableSourceOptions } from "../../src/control/table-source.ts";
import type { Discovery } from "../../src/discovery/discovery.ts";
import type { ChangeSet } from "../../src/model/change.ts";
import { RouterError } from "../../src/model/errors.ts";
import type { Store } from "../../src/store/store.ts";
import { FakeSystem } from "./fake-system.ts";
import { recordingLog } from "./recording-log.ts";
import { ScriptedStore } from "./scripted-store.ts";
import { until } from "./until.ts";

/** A source that has not started yet. */
export function begin(options: Partial<TableSourceOptions> = {}) {
  const store = new ScriptedStore();
  const system = new FakeSystem();
  const log = recordingLog();
  const starting = async (): Promise<TableSource> => {
    const source = await TableSource.start({ store, system, log, ...options });
    onTestFinished(() => source.stop());
    return source;
  };
  return { store, system, log, starting };
}

export async function follow(
  store: Store = new ScriptedStore(),
  discoveries: readonly Discovery[] = [],
) {
  const { system, log, starting } = begin({ store, discoveries });
  const source = await starting();
  const published: ChangeSet[] = [];
  source.subscribe((changeSet) => {
    // Told after it was applied: whoever hears of it finds it.
    expect(source.table.revision).toBe(changeSet.revision);
    published.push(changeSet);
  });
  const at = (revision: number): Promise<void> =>
    until(() => source.table.revision === revision, `revision ${revision}`);
  return { store: store as ScriptedStore, system, log, source, published, at };
}

export const lost = (): Error => new RouterError("store-unavailable", "connection lost");
export const names = (source: TableSource): string[] =>
  [...source.table.routes()].map(({ name }) => name);
export const backends = (source: TableSource): string[] =>
  [...source.table.backends()].map(({ service, address }) => `${service} ${address}`);
