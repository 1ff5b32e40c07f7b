// The port `Etcd` on a real etcd, over all its endpoints: one is current and kept while it works; what fails as
// away moves on to the next. Reads are tried once on each endpoint; a write only where it certainly was not sent.
//
// Knows: which calls may be made twice. Does not know: gRPC (client-connection.ts, client-call.ts), what keys mean.

import { etcdAttemptMsMax, etcdCallMsMax } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import type { System } from "../system.ts";
import { type CallRequest, Connection } from "./client-connection.ts";
import { readIdentity } from "./client-identity.ts";
import { ClientWatch } from "./client-watch.ts";
import {
  headerOf,
  rangeAnswer,
  rangeMessage,
  shownRange,
  shownTransaction,
  transactionAnswer,
  transactionMessage,
} from "./client-wire.ts";
import type {
  Etcd,
  EtcdSetting,
  EtcdStatus,
  RangeAnswer,
  RangeRequest,
  Transaction,
  TransactionAnswer,
  WatchMessage,
  WatchRequest,
  WatchStream,
} from "./etcd.ts";
import { isNotApplied, isOfEndpoint } from "./etcd-error.ts";

export class EtcdClient implements Etcd {
  readonly name: string;
  readonly #connections: readonly Connection[];
  readonly #system: System;
  readonly #watches = new Set<WatchStream>();
  /** Index of the endpoint that is called. */
  #current = 0;

  private constructor(connections: readonly Connection[], system: System) {
    this.name = connections.map(({ endpoint }) => endpoint).join(",");
    this.#connections = connections;
    this.#system = system;
  }

  /**
   * Reads the files of the setting and touches no network. Needs the real clock (`realSystem`). Rejects with
   * "invalid-argument" naming the setting and the file when one is missing or not what it should be.
   */
  static async open(setting: EtcdSetting, system: System): Promise<EtcdClient> {
    const identity = await readIdentity(setting);
    const connections = setting.endpoints.map(
      (endpoint) => new Connection(endpoint, identity, system),
    );
    return new EtcdClient(connections, system);
  }

  async range(request: RangeRequest): Promise<RangeAnswer> {
    const message = rangeMessage(request);
    const answer = await this.#repeatable({
      name: `range of ${shownRange(request)}`,
      run: (etcd, options) => etcd.kv.range(message, options),
    });
    return rangeAnswer(answer, request);
  }

  async transact(transaction: Transaction): Promise<TransactionAnswer> {
    const message = transactionMessage(transaction);
    const answer = await this.#once({
      name: `transaction on ${shownTransaction(transaction)}`,
      run: (etcd, options) => etcd.kv.txn(message, options),
    });
    return transactionAnswer(answer, transaction);
  }

  async grantLease(seconds: number): Promise<{ readonly lease: string; readonly seconds: number }> {
    const answer = await this.#once({
      name: "grant of a lease",
      run: (etcd, options) => etcd.leaseClient.leaseGrant({ TTL: seconds }, options),
    });
    return { lease: answer.ID, seconds: Number(answer.TTL) };
  }

  keepLeaseAlive(lease: string): Promise<number> {
    return this.#repeatable({
      name: "renewal of a lease",
      run: async (etcd, options) => {
        const stream = await etcd.leaseClient.leaseKeepAlive(options);
        return new Promise<number>((resolve, reject) => {
          stream.on("data", (answer) => {
            resolve(Number(answer.TTL));
            stream.cancel();
          });
          stream.on("error", reject);
          stream.on("end", () => reject(new Error("ended without an answer")));
          stream.write({ ID: lease });
        });
      },
    });
  }

  async revokeLease(lease: string): Promise<void> {
    try {
      await this.#repeatable({
        name: "revocation of a lease",
        run: (etcd, options) => etcd.leaseClient.leaseRevoke({ ID: lease }, options),
      });
    } catch (error) {
      const isGone = error instanceof RouterError && error.details.reason === "ETCD_LEASE_GONE";
      if (!isGone) throw error;
    }
  }

  watch(
    request: WatchRequest,
    message: (message: WatchMessage) => void,
    ended: (cause: RouterError) => void,
  ): WatchStream {
    const index = this.#current;
    const watch = new ClientWatch(
      this.#at(index),
      request,
      {
        message,
        ended: (cause) => {
          this.#watches.delete(watch);
          if (isOfEndpoint(cause)) this.#leave(index);
          ended(cause);
        },
      },
      this.#system,
    );
    this.#watches.add(watch);
    return {
      cancel: () => {
        this.#watches.delete(watch);
        watch.cancel();
      },
    };
  }

  async status(): Promise<EtcdStatus> {
    const { version, header } = await this.#repeatable({
      name: "status",
      run: (etcd, options) => etcd.maintenance.status(options),
      alone: true,
    });
    return { version, header: headerOf(header) };
  }

  async close(): Promise<void> {
    // First the watches: etcd3 keeps the process alive for those that it finds open (D14 of our notes on it).
    for (const watch of this.#watches) watch.cancel();
    this.#watches.clear();
    for (const connection of this.#connections) connection.close();
    await Promise.resolve();
  }

  /** A call that may be made twice: on each endpoint once, within the time of one call. */
  #repeatable<T>(request: CallRequest<T>): Promise<T> {
    return this.#call(request, () => true);
  }

  /** A call that another endpoint gets only when it certainly changed nothing on this one. */
  #once<T>(request: CallRequest<T>): Promise<T> {
    return this.#call(request, isNotApplied);
  }

  async #call<T>(request: CallRequest<T>, mayRepeat: (error: RouterError) => boolean): Promise<T> {
    const untilMs = this.#system.monotonicMs() + etcdCallMsMax;
    const first = this.#current;
    const failures: RouterError[] = [];
    for (const offset of this.#connections.keys()) {
      const index = (first + offset) % this.#connections.length;
      const leftMs = untilMs - this.#system.monotonicMs();
      if (leftMs <= 0) break;
      try {
        const answer = await this.#at(index).call(request, this.#timeOf(leftMs));
        if (offset > 0) this.#current = index;
        return answer;
      } catch (reason) {
        const error = RouterError.from(reason);
        failures.push(error);
        if (!isOfEndpoint(error)) throw error;
        this.#leave(index);
        if (!mayRepeat(error)) break;
      }
    }
    throw allFailed(failures);
  }

  /** One of several endpoints must leave time for the next. */
  #timeOf(leftMs: number): number {
    return this.#connections.length === 1 ? leftMs : Math.min(leftMs, etcdAttemptMsMax);
  }

  #at(index: number): Connection {
    const connection = this.#connections[index];
    if (connection === undefined) throw new RouterError("internal", `no endpoint ${index}`);
    return connection;
  }

  /** The next call goes to the next endpoint, unless another call has moved on already. */
  #leave(index: number): void {
    if (this.#current === index) this.#current = (index + 1) % this.#connections.length;
  }
}

/** What each endpoint said; the last one decides the code. */
function allFailed(failures: readonly RouterError[]): RouterError {
  const last = failures.at(-1) ?? new RouterError("internal", "no endpoint was asked");
  if (failures.length < 2) return last;
  const message = failures.map((failure) => failure.message).join("; ");
  return new RouterError(last.code, message, last.details, { cause: last });
}
