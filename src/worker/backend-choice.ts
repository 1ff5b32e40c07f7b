// Which backend one request or connection goes to, and what its outcome teaches: the tries so far,
// the load that is counted while it lasts, the failures. And the connection there, which begins with a
// preface about the client where the service wants one.

import type { ConnectionEnds } from "../io/stream.ts";
import type { BackendState } from "../routing/backend-state.ts";
import type { ServiceState } from "../routing/service-state.ts";
import { Counter } from "../telemetry/counters.ts";
import { ClientPrefaces } from "./client-prefaces.ts";
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
  readonly #client: ConnectionEnds;
  #prefaces: ClientPrefaces | undefined;

  /** @param client Whom a preface names. */
  constructor(context: WorkerContext, client: ConnectionEnds) {
    this.#context = context;
    this.#client = client;
  }

  get tries(): number {
    return this.#triedCount;
  }

  /** Nothing was tried for this request yet. */
  reset(): void {
    this.#service = undefined;
    this.#triedCount = 0;
  }

  begin(service: ServiceState): void {
    this.#service = service;
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
    if (version === undefined) return undefined;
    this.#prefaces ??= new ClientPrefaces(this.#client);
    return this.#prefaces.of(version);
  }

  /** The client's connection has ended: idle connections that name it serve nobody. */
  leave(): void {
    this.#prefaces?.close();
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
