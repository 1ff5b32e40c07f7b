// The leases under which a store puts what must not stay for ever.
//
// Knows: how long each lives. Does not know: what is put under it. See etcd-node-lease.ts for the one of a node.

import type { Etcd } from "../etcd/etcd.ts";
import { requestKeptMsMin } from "../limits.ts";
import type { Backend } from "../model/backend.ts";
import type { Change } from "../model/change.ts";
import type { System } from "../system.ts";

/**
 * One lease for many keys, made anew each time `requestKeptMsMin` passes and twice as long: whatever is put under
 * it stays between one and two of these.
 */
export class RotatingLease {
  readonly #etcd: Etcd;
  readonly #system: System;
  #lease: string | undefined;
  #grantedMs = 0;

  constructor(etcd: Etcd, system: System) {
    this.#etcd = etcd;
    this.#system = system;
  }

  /** Rejects as `Etcd.grantLease`. */
  async id(): Promise<string> {
    // Counted from before the question: etcd's own count begins later.
    const nowMs = this.#system.monotonicMs();
    if (this.#lease !== undefined && nowMs - this.#grantedMs < requestKeptMsMin) return this.#lease;
    const { lease } = await this.#etcd.grantLease(Math.ceil((2 * requestKeptMsMin) / 1000));
    this.#lease = lease;
    this.#grantedMs = nowMs;
    return lease;
  }

  /** etcd does not know it any more: somebody revoked it. */
  forget(): void {
    this.#lease = undefined;
  }
}

/**
 * A lease of its own for each backend with a TTL among `changes`, so that each goes by itself. Rejects as
 * `Etcd.grantLease`; then none is left behind.
 */
export async function grantTtls(
  etcd: Etcd,
  changes: readonly Change[],
): Promise<ReadonlyMap<Backend, string>> {
  const leases = new Map<Backend, string>();
  try {
    for (const change of changes) {
      if (change.kind !== "backend-put" || change.backend.ttlMs === undefined) continue;
      const { lease } = await etcd.grantLease(Math.ceil(change.backend.ttlMs / 1000));
      leases.set(change.backend, lease);
    }
  } catch (thrown) {
    await revokeAll(etcd, leases.values());
    throw thrown;
  }
  return leases;
}

/** Leases that nothing was put under. One that cannot be revoked ends with its time. */
export async function revokeAll(etcd: Etcd, leases: Iterable<string>): Promise<void> {
  for (const lease of leases) await etcd.revokeLease(lease).catch(() => undefined);
}
