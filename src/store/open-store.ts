// From a store's specification to an open Store: the only file that knows all kinds.

import type { EtcdSetting } from "../etcd/etcd.ts";
import { RouterError, unreachable } from "../model/errors.ts";
import type { System } from "../system.ts";
import { MemoryStore } from "./memory-store.ts";
import { SqliteStore } from "./sqlite-store.ts";
import type { Store } from "./store.ts";

export type StoreSpec =
  | { readonly kind: "memory" }
  | { readonly kind: "sqlite"; readonly path: string }
  | {
      readonly kind: "etcd";
      readonly etcd: EtcdSetting;
      /** "/crosspoint": without a slash at its end. */
      readonly prefix: string;
      /** This node's name among those that share the store. */
      readonly nodeName: string;
      /** Where the copy of what was last seen is kept, and whose node this is: the state directory. */
      readonly directory: string;
      /** Takes what the store holds at the start, whatever the copy says. */
      readonly accept: boolean;
    };

/** Rejects with a RouterError that names the store, the cause and what to do. */
export async function openStore(spec: StoreSpec, system: System): Promise<Store> {
  switch (spec.kind) {
    case "memory":
      return new MemoryStore({ system });
    case "sqlite":
      return SqliteStore.open({ path: spec.path, system });
    case "etcd":
      throw new RouterError("unimplemented", "the etcd store is not built yet");
    default:
      return unreachable(spec);
  }
}
