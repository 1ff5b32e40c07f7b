// An Etcd between a store and another Etcd that loses what a test wants it to lose.

import type {
  Etcd,
  RangeAnswer,
  RangeRequest,
  Transaction,
  TransactionAnswer,
  WatchStream,
} from "../../src/etcd/etcd.ts";
import { RouterError } from "../../src/model/errors.ts";

/** What becomes of a transaction: "late": it arrives only after `deliver`, its answer never. */
export type Fate = "arrives" | "request lost" | "answer lost" | "late";

export class LossyEtcd implements Etcd {
  readonly name: string;
  /** Asked for every transaction. */
  fate: (transaction: Transaction) => Fate = () => "arrives";
  /** Of every transaction that was sent. */
  readonly sent: Transaction[] = [];
  readonly #etcd: Etcd;
  #late: Transaction[] = [];

  constructor(etcd: Etcd) {
    this.#etcd = etcd;
    this.name = etcd.name;
  }

  async transact(transaction: Transaction): Promise<TransactionAnswer> {
    this.sent.push(transaction);
    const fate = this.fate(transaction);
    if (fate === "late") this.#late.push(transaction);
    if (fate === "late" || fate === "request lost") throw brokenOff();
    const answer = await this.#etcd.transact(transaction);
    if (fate === "answer lost") throw brokenOff();
    return answer;
  }

  /** What was late arrives now; how many of them succeeded. */
  async deliver(): Promise<number> {
    let succeeded = 0;
    for (const transaction of this.#late.splice(0)) {
      if ((await this.#etcd.transact(transaction)).succeeded) succeeded++;
    }
    return succeeded;
  }

  range(request: RangeRequest): Promise<RangeAnswer> {
    return this.#etcd.range(request);
  }
  grantLease(seconds: number): Promise<{ readonly lease: string; readonly seconds: number }> {
    return this.#etcd.grantLease(seconds);
  }
  keepLeaseAlive(lease: string): Promise<number> {
    return this.#etcd.keepLeaseAlive(lease);
  }
  revokeLease(lease: string): Promise<void> {
    return this.#etcd.revokeLease(lease);
  }
  watch(...words: Parameters<Etcd["watch"]>): WatchStream {
    return this.#etcd.watch(...words);
  }
  status(): ReturnType<Etcd["status"]> {
    return this.#etcd.status();
  }
  close(): Promise<void> {
    return this.#etcd.close();
  }
}

/** As client.ts tells of a call whose outcome nobody knows. */
export function brokenOff(): RouterError {
  return new RouterError("store-unavailable", "etcd broke off the call", {
    reason: "ETCD_UNREACHABLE",
  });
}
