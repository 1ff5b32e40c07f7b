// An SQLite store for one test, closed when it ends.

import { onTestFinished } from "vitest";
import type { Snapshot } from "../../src/model/change.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { SqliteStore, type SqliteStoreOptions } from "../../src/store/sqlite-store.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { put, putBackend, putRoute, sorted } from "./samples.ts";

export async function openAt(
  path: string,
  options: Partial<SqliteStoreOptions> = {},
): Promise<SqliteStore> {
  const store = await SqliteStore.open({ path, system: new FakeSystem(), ...options });
  onTestFinished(() => store.close());
  return store;
}

/** A closed store's file; `count` routes and some more. */
export async function storedAt(path: string, count = 3): Promise<Snapshot> {
  const store = await openAt(path);
  for (let i = 0; i < count; i++) await put(store, putRoute(`r${i}`, { labels: { n: `${i}` } }));
  await put(store, putBackend("10.0.0.1:80"), {
    kind: "service-put",
    service: { name: parseServiceName("web"), policy: undefined },
  });
  const { revision } = await store.read();
  const request = { id: "id", fingerprint: "f", answer: new Uint8Array(9) };
  await store.commit({ expected: revision, changes: [putRoute("last")], request });
  const snapshot = sorted(await store.read());
  await store.close();
  return snapshot;
}
