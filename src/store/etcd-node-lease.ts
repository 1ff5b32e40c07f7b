// The lease under which a node stands in etcd: renewed every third of its time, and lost by our own clock at the
// latest when etcd may have ended it.
//
// Knows: one lease. Does not know: what is put under it.
//
// Time counts from when a renewal was sent, on a monotonic clock: etcd gave the time later than that, so we never
// hold a lease longer than etcd does, whatever its answers say or however late they come (etcd3's own notice took
// twice the time), and a clock that is set changes nothing.

import type { Etcd } from "../etcd/etcd.ts";
import { RouterError } from "../model/errors.ts";
import type { System } from "../system.ts";

export interface NodeLeaseOptions {
  readonly etcd: Etcd;
  readonly system: System;
  readonly seconds: number;
}

export class NodeLease {
  /** Decimal. */
  readonly id: string;
  /** Called once, when it is lost: not after `end`. */
  onLost: (cause: string) => void = () => {};
  /** Called after each renewal. */
  onRenewed: () => void = () => {};
  readonly #options: NodeLeaseOptions;
  #ttlMs: number;
  #renewedMs: number;
  #over = false;
  /** Of the last renewal that failed. */
  #cause = "";
  #cancelRenewal: () => void = () => {};
  #cancelEnd: () => void = () => {};

  /** Rejects as `Etcd.grantLease`. */
  static async grant(options: NodeLeaseOptions): Promise<NodeLease> {
    const sentMs = options.system.monotonicMs();
    const { lease, seconds } = await options.etcd.grantLease(options.seconds);
    return new NodeLease(options, lease, seconds, sentMs);
  }

  private constructor(options: NodeLeaseOptions, id: string, seconds: number, sentMs: number) {
    this.#options = options;
    this.id = id;
    this.#ttlMs = seconds * 1000;
    this.#renewedMs = sentMs;
    this.#hold(sentMs, seconds);
  }

  /** False from the moment at which etcd may have ended it, also when no timer has fired yet. */
  get alive(): boolean {
    return !this.#over && this.#remainingMs() > 0;
  }

  /** Why it is lost when nobody has said so yet. */
  get silence(): string {
    const cause = this.#cause === "" ? "" : `: ${this.#cause}`;
    return `the store did not renew its lease of ${this.#ttlMs / 1000} s in time${cause}`;
  }

  /** Renews no more; what is under it goes with its time. */
  end(): void {
    this.#over = true;
    this.#cancelRenewal();
    this.#cancelEnd();
  }

  /** Ends it in etcd too, and what is under it. Rejects as `Etcd.revokeLease`. */
  async revoke(): Promise<void> {
    this.end();
    await this.#options.etcd.revokeLease(this.id);
  }

  async #renew(): Promise<void> {
    const { etcd, system } = this.#options;
    const sentMs = system.monotonicMs();
    try {
      const seconds = await etcd.keepLeaseAlive(this.id);
      if (!this.alive) return this.#checkTime();
      if (seconds === 0) return this.#lost("its lease is gone from the store");
      this.#cause = "";
      this.#hold(sentMs, seconds);
      this.onRenewed();
    } catch (error) {
      this.#cause = RouterError.from(error).message;
      if (this.#over) return;
      // Sooner than usual: etcd may be back before the time is over.
      this.#renewIn(this.#ttlMs / 10);
    }
  }

  #hold(sentMs: number, seconds: number): void {
    this.#renewedMs = sentMs;
    this.#ttlMs = seconds * 1000;
    this.#renewIn(this.#ttlMs / 3);
    this.#cancelEnd();
    const leftMs = Math.max(0, this.#remainingMs());
    this.#cancelEnd = this.#options.system.after(leftMs, () => this.#checkTime());
  }

  #renewIn(delayMs: number): void {
    this.#cancelRenewal();
    this.#cancelRenewal = this.#options.system.after(delayMs, () => void this.#renew());
  }

  #remainingMs(): number {
    return this.#renewedMs + this.#ttlMs - this.#options.system.monotonicMs();
  }

  #checkTime(): void {
    if (!this.#over && this.#remainingMs() <= 0) this.#lost(this.silence);
  }

  #lost(cause: string): void {
    this.end();
    this.onLost(cause);
  }
}
