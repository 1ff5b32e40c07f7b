// One watch on one endpoint, from the wish to its end. It ends once, with a reason, whatever happens: refused,
// cancelled by the server, cut, silent from the start, or half-open (which the pings of the connection find).
//
// Knows: the order of a watch's messages. Does not know: resuming, which is the follower's.

import { etcdWatchCreatedMsMax } from "../limits.ts";
import { RouterError } from "../model/errors.ts";
import type { System } from "../system.ts";
import type { Connection, RawWatch } from "./client-connection.ts";
import { rangeMessage, shownRange, watchAnswer, watchMessage } from "./client-wire.ts";
import type { WatchMessage, WatchRequest, WatchStream } from "./etcd.ts";
import { GrpcCode } from "./etcd-error.ts";

export interface WatchSinks {
  message(message: WatchMessage): void;
  ended(cause: RouterError): void;
}

export class ClientWatch implements WatchStream {
  readonly #connection: Connection;
  readonly #request: WatchRequest;
  readonly #sinks: WatchSinks;
  readonly #name: string;
  readonly #endWait: () => void;
  #raw: RawWatch | undefined;
  #over = false;

  constructor(connection: Connection, request: WatchRequest, sinks: WatchSinks, system: System) {
    this.#connection = connection;
    this.#request = request;
    this.#sinks = sinks;
    this.#name = `watch of ${shownRange(request)}`;
    this.#endWait = system.after(etcdWatchCreatedMsMax, () =>
      this.#end(connection.timeout(this.#name, etcdWatchCreatedMsMax)),
    );
    void this.#start();
  }

  cancel(): void {
    this.#over = true;
    this.#endWait();
    this.#raw?.cancel();
  }

  async #start(): Promise<void> {
    try {
      if (this.#connection.hasLogin) await this.#renewToken();
      const { raw, call } = await this.#connection.openWatch(etcdWatchCreatedMsMax);
      // Whatever happens from here on, a stream without this listener would end the process.
      raw.on("error", () => this.#end(this.#connection.errorOf(this.#name, call.failure)));
      raw.on("end", () => this.#end(this.#connection.errorOf(this.#name, call.failure)));
      this.#raw = raw;
      if (this.#over) return raw.cancel();
      raw.on("data", (wire) => this.#take(watchAnswer(wire)));
      raw.write(watchMessage(this.#request));
    } catch (error) {
      this.#end(RouterError.from(error));
    }
  }

  /** etcd 3.4 answers a watch with an expired token "permission denied", so a call that tells them apart comes first. */
  async #renewToken(): Promise<void> {
    const { key } = this.#request;
    const message = rangeMessage({ key, limit: 1, keysOnly: true });
    await this.#connection.call(
      { name: this.#name, run: (etcd, options) => etcd.kv.range(message, options) },
      etcdWatchCreatedMsMax,
    );
  }

  #take(message: WatchMessage): void {
    if (this.#over) return;
    this.#endWait();
    try {
      this.#sinks.message(message);
    } catch (error) {
      // A fault of ours ends this watch, not the process.
      return this.#end(RouterError.from(error));
    }
    if (message.kind === "cancelled") this.#end(this.#cancelled(message));
  }

  #cancelled({ compactRevision, reason }: WatchMessage & { kind: "cancelled" }): RouterError {
    const details = compactRevision > 0 ? "required revision has been compacted" : reason;
    return this.#connection.errorOf(this.#name, {
      code: GrpcCode.unavailable,
      details: details === "" ? "cancelled by the server without a reason" : details,
    });
  }

  #end(cause: RouterError): void {
    if (this.#over) return;
    this.cancel();
    this.#sinks.ended(cause);
  }
}
