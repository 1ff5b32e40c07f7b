// From a store's specification to an open Store: the only file that knows all kinds.

import type { EtcdSetting } from "../etcd/etcd.ts";
import type { FollowedLog } from "../etcd/followed.ts";
import { unreachable } from "../model/errors.ts";
import type { System } from "../system.ts";
import { EtcdStore } from "./etcd-store.ts";
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

/**
 * Rejects with a RouterError that names the store, the cause and what to do. One of etcd is open before etcd has
 * answered: see its `condition`.
 */
export async function openStore(
  spec: StoreSpec,
  system: System,
  log: FollowedLog = silentLog,
): Promise<Store> {
  switch (spec.kind) {
    case "memory":
      return new MemoryStore({ system });
    case "sqlite":
      return SqliteStore.open({ path: spec.path, system });
    case "etcd": {
      // Its library takes a tenth of a second to load: who has no etcd does not wait for it.
      const { EtcdClient } = await import("../etcd/client.ts");
      const etcd = await EtcdClient.open(spec.etcd, system);
      return EtcdStore.open({ ...spec, etcd, system, log });
    }
    default:
      return unreachable(spec);
  }
}

const silentLog: FollowedLog = { info: () => {}, warn: () => {} };
