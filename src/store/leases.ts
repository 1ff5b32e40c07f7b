// TTLs of backends for a store that has no leases of its own: when each backend's time is over.
//
// Knows: a monotonic clock. Does not know: how a backend is removed; `expire` does that. Nothing here is
// kept over a restart: then `observe` sees every backend again, and each has its whole TTL.
//
// Expired backends leave one by one, each in a turn of the event loop of its own. Ten thousand at the same
// moment would otherwise hold up everything else for seconds, renewals that just arrived included.

import { leaseLateMsMax, leaseRetryMs } from "../limits.ts";
import { type Backend, type BackendKey, backendKeyOf } from "../model/backend.ts";
import type { Change } from "../model/change.ts";
import type { System } from "../system.ts";

/** The longest that setTimeout can wait, in ms (2^31 - 1; more would fire at once). */
const timerMsMax = 2_147_483_647;

interface Lease {
  readonly backend: Backend;
  readonly ttlMs: number;
  dueMs: number;
  cancel: () => void;
}

export interface LeasesOptions {
  readonly system: System;
  /** Removes the backend; when it throws it is asked again after `leaseRetryMs`. */
  readonly expire: (backend: Backend) => void;
}

export class Leases {
  readonly #system: System;
  readonly #expire: (backend: Backend) => void;
  readonly #leases = new Map<BackendKey, Lease>();
  readonly #over = new Set<BackendKey>();
  #cancelNext: (() => void) | undefined;

  constructor(options: LeasesOptions) {
    this.#system = options.system;
    this.#expire = options.expire;
  }

  /** Starts, restarts and ends TTLs as the stored changes say. */
  observe(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.kind === "backend-removed") this.#end(backendKeyOf(change));
      if (change.kind === "backend-put") this.#start(change.backend);
    }
  }

  /** Gives the backend its whole TTL again; false when it has none. */
  renew(key: BackendKey): boolean {
    const lease = this.#leases.get(key);
    if (lease === undefined) return false;
    // The timer stays: when it fires it sees that there is time left.
    lease.dueMs = this.#system.monotonicMs() + lease.ttlMs;
    return true;
  }

  close(): void {
    for (const lease of this.#leases.values()) lease.cancel();
    this.#leases.clear();
    this.#over.clear();
    this.#cancelNext?.();
    this.#cancelNext = undefined;
  }

  #start(backend: Backend): void {
    const key = backendKeyOf(backend);
    this.#end(key);
    const { ttlMs } = backend;
    if (ttlMs === undefined) return;
    const lease: Lease = {
      backend,
      ttlMs,
      dueMs: this.#system.monotonicMs() + ttlMs,
      cancel: () => {},
    };
    this.#leases.set(key, lease);
    this.#wait(key, lease);
  }

  #end(key: BackendKey): void {
    this.#leases.get(key)?.cancel();
    this.#leases.delete(key);
    this.#over.delete(key);
  }

  #wait(key: BackendKey, lease: Lease): void {
    const nowMs = this.#system.monotonicMs();
    const delayMs = Math.min(timerMsMax, Math.max(0, Math.ceil(lease.dueMs - nowMs)));
    lease.cancel = this.#system.after(delayMs, () => {
      const lateMs = this.#system.monotonicMs() - (nowMs + delayMs);
      if (lateMs > leaseLateMsMax) this.renew(key);
      if (this.#isOver(lease)) this.#expireSoon(key);
      else this.#wait(key, lease);
    });
  }

  #isOver(lease: Lease): boolean {
    return lease.dueMs <= this.#system.monotonicMs();
  }

  #expireSoon(key: BackendKey): void {
    this.#over.add(key);
    this.#cancelNext ??= this.#system.after(0, () => this.#expireNext());
  }

  #expireNext(): void {
    this.#cancelNext = undefined;
    for (const key of this.#over) {
      this.#over.delete(key);
      const lease = this.#leases.get(key);
      if (lease === undefined) continue;
      if (this.#isOver(lease)) {
        this.#tryExpire(key, lease);
        break;
      }
      this.#wait(key, lease);
    }
    if (this.#over.size > 0) this.#cancelNext = this.#system.after(0, () => this.#expireNext());
  }

  #tryExpire(key: BackendKey, lease: Lease): void {
    try {
      this.#expire(lease.backend);
      this.#end(key);
    } catch {
      // A full disk, say. The backend stays until the store takes the removal; writers see the reason.
      lease.dueMs = this.#system.monotonicMs() + leaseRetryMs;
      this.#wait(key, lease);
    }
  }
}
