// From a store's specification to an open Store: the only file that knows all kinds.

import { unreachable } from "../model/errors.ts";
import type { System } from "../system.ts";
import { MemoryStore } from "./memory-store.ts";
import { SqliteStore } from "./sqlite-store.ts";
import type { Store } from "./store.ts";

export type StoreSpec =
  | { readonly kind: "memory" }
  | { readonly kind: "sqlite"; readonly path: string };

/** Rejects with a RouterError that names the store, the cause and what to do. */
export async function openStore(spec: StoreSpec, system: System): Promise<Store> {
  switch (spec.kind) {
    case "memory":
      return new MemoryStore({ system });
    case "sqlite":
      return SqliteStore.open({ path: spec.path, system });
    default:
      return unreachable(spec);
  }
}
