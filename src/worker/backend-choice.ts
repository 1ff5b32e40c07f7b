// Which backend one request or connection goes to, and what its outcome teaches: the tries so far,
// the load that is counted while it lasts, the failures. And the connection there, which begins with a
// preface about the client where the service wants one.

import type { BackendState } from "../routing/backend-state.ts";
import type { ServiceState } from "../routing/service-state.ts";
import { Counter } from "../telemetry/counters.ts";
import { ClientPrefaces, type PrefacedClient } from "./client-prefaces.ts";
import type { WorkerContext } from "./context.ts";
import type { SentPreface, UpstreamConnection, UpstreamOwner } from "./upstream-connection.ts";

export class BackendChoice {
  /** The one in use; its load is counted until `done`. */
  current: BackendState | undefined;
  readonly #context: WorkerContext;
  /** The first `#triedCount` count; the array keeps its length, which costs more to change than to count. */
  readonly #tried: BackendState[] = [];
  #triedCount = 0;
  #service: ServiceState | undefined;
  #client: PrefacedClient | undefined;

  constructor(context: WorkerContext) {
    this.#context = context;
  }

  get tries(): number {
    return this.#triedCount;
  }

  /** Nothing was tried for this request yet. */
  reset(): void {
    this.#service = undefined;
    this.#client = undefined;
    this.#triedCount = 0;
  }

  /** @param client Whom a preface names. */
  begin(service: ServiceState, client: PrefacedClient): void {
    this.#service = service;
    this.#client = client;
    this.#triedCount = 0;
  }

  /** The next backend to try: `preferred` first if it may be used; undefined: none is left. */
  next(preferred: BackendState | undefined): BackendState | undefined {
    this.done();
    const service = this.#service;
    if (service === undefined || this.#triedCount >= this.#context.limits.connectTriesMax) {
      return undefined;
    }
    const usable = preferred !== undefined && !preferred.removed && this.#triedCount === 0;
    const chosen = usable
      ? preferred
      : service.picker.pick(this.#context.random, this.#tried, this.#triedCount);
    if (chosen === undefined) return undefined;
    this.#tried[this.#triedCount++] = chosen;
    this.current = chosen;
    chosen.endpoint.inFlight += 1;
    chosen.requestsTotal += 1;
    this.#context.counters[Counter.upstreamTries]! += 1;
    return chosen;
  }

  /** An idle connection to the backend, now the owner's; or undefined. */
  take({ endpoint }: BackendState, owner: UpstreamOwner): UpstreamConnection | undefined {
    return this.#context.pool.take(endpoint, owner, this.#preface);
  }

  /** A new connection to the backend, already dialling. */
  dial({ endpoint }: BackendState, owner: UpstreamOwner): UpstreamConnection {
    return this.#context.pool.dial(endpoint, owner, this.#preface);
  }

  get #preface(): SentPreface | undefined {
    const version = this.#service?.proxyProtocol;
    const client = this.#client;
    if (version === undefined || client === undefined) return undefined;
    client.prefaces ??= new ClientPrefaces(client.ends);
    return client.prefaces.of(version);
  }

  /** The current backend did not do its part. */
  failed(why: string): void {
    const backend = this.current;
    if (backend === undefined) return;
    backend.failuresTotal += 1;
    backend.lastFailure = why;
  }

  /** The current backend did. */
  succeeded(): void {
    if (this.current !== undefined && this.current.lastFailure !== "")
      this.current.lastFailure = "";
  }

  /** Its load ends. */
  done(): void {
    if (this.current === undefined) return;
    this.current.endpoint.inFlight -= 1;
    this.current = undefined;
  }
}
