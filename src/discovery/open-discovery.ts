// From a source's setting to an open Discovery: the only file that knows all kinds.

import { createHash } from "node:crypto";
import { join } from "node:path";
import { type Etcd, type EtcdSetting, prefixEnd } from "../etcd/etcd.ts";
import type { FollowedLog } from "../etcd/followed.ts";
import { FollowedPrefix } from "../etcd/followed-prefix.ts";
import type { ServiceName } from "../model/names.ts";
import type { System } from "../system.ts";
import { discoverdKeys } from "./discoverd-keys.ts";
import type { Discovery } from "./discovery.ts";
import { EtcdDiscovery } from "./etcd-discovery.ts";
import { KeySet } from "./key-set.ts";
import type { KeyForm } from "./reading.ts";
import { instanceKeys, serviceKeys } from "./service-keys.ts";

/** Where backends come from besides the API. */
export interface DiscoverySpec {
  /** "etcd": etcd-netfw's keys; "discoverd": discoverd's. */
  readonly kind: "etcd" | "discoverd";
  readonly etcd: EtcdSetting;
  /** "/services/", "/discover/services"; ASCII. */
  readonly prefix: string;
  /** The prefix is the folder of this one service ("etcd" only); absent: it holds services. */
  readonly service?: ServiceName;
}

export interface DiscoveryParts {
  readonly system: System;
  readonly log: FollowedLog;
  /** Where the copy of what was last seen is kept: the state directory. */
  readonly directory: string;
  /** Default: a client of a real one. Closed with the discovery. */
  readonly openEtcd?: (setting: EtcdSetting) => Promise<Etcd>;
}

/**
 * Begins to follow the source; see `started`. Rejects "invalid-argument" as the etcd client does, when a file of
 * the setting is missing; that etcd is away is no reason to reject.
 */
export async function openDiscovery(
  { kind, etcd: setting, prefix: written, service }: DiscoverySpec,
  { system, log, directory, openEtcd }: DiscoveryParts,
): Promise<Discovery> {
  const etcd = await (openEtcd?.(setting) ?? openClient(setting, system));
  const prefix = written.endsWith("/") ? written : `${written}/`;
  const name = `${kind}:${etcd.name}${prefix}`;
  const keys = new KeySet({ kind, prefix, form: formOf(kind, service) });
  return new EtcdDiscovery({
    name,
    keys,
    system,
    log,
    follow: (owner) =>
      FollowedPrefix.open({
        etcd,
        system,
        log,
        owner,
        name,
        range: { key: prefix, end: prefixEnd(prefix) },
        serves: (key) => keys.concerns(key),
        copyPath: join(directory, copyName(name)),
      }),
    release: () => etcd.close(),
  });
}

/** Its library takes a tenth of a second to load: who has no etcd does not wait for it. */
async function openClient(setting: EtcdSetting, system: System): Promise<Etcd> {
  const { EtcdClient } = await import("../etcd/client.ts");
  return await EtcdClient.open(setting, system);
}

function formOf(kind: DiscoverySpec["kind"], service: ServiceName | undefined): KeyForm {
  if (kind === "discoverd") return discoverdKeys;
  return service === undefined ? serviceKeys : instanceKeys(service);
}

/** One copy per source: another one must not be taken for it. */
function copyName(name: string): string {
  return `discovery-${createHash("sha256").update(name).digest("hex").slice(0, 16)}.copy`;
}
