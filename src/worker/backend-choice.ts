// Which backend one request or connection goes to, and what its outcome teaches: the tries so far,
// the load that is counted while it lasts, the failures, the retries that its service can pay. And the
// connection there, which begins with a preface about the client where the service wants one.

import type { CloseReason } from "../io/stream.ts";
import type { TcpSettings } from "../model/service-options.ts";
import type { BackendState } from "../routing/backend-state.ts";
import type { PickQuestion } from "../routing/picker.ts";
import type { ServiceState } from "../routing/service-state.ts";
import { Counter } from "../telemetry/counters.ts";
import { ClientPrefaces, type PrefacedClient } from "./client-prefaces.ts";
import type { WorkerContext } from "./context.ts";
import type { SentPreface, UpstreamConnection, UpstreamOwner } from "./upstream-connection.ts";

export class BackendChoice {
  /** The one in use; its load is counted until `done`. */
  current: BackendState | undefined;
  readonly #context: WorkerContext;
  /** The array keeps its length, which costs more to change than to count. */
  readonly #tried: BackendState[] = [];
  readonly #question: PickQuestion;
  #service: ServiceState | undefined;
  /** Times that the request was sent again. */
  #retries = 0;
  /** Its connection was old when it broke: when there is no other, it is tried once more. */
  #spare: BackendState | undefined;
  #client: PrefacedClient | undefined;
  /** When the current one was chosen, in ms, monotonic. */
  #sentMs = 0;
  /** The answer of the current one has begun. */
  #isAnswered = false;
  /** The current one has answered, and its answer says that it failed. */
  #isFailure = false;
  /** Of its service, for a TCP connection or one that asks to be upgraded; undefined: the node's limits hold. */
  #tcp: TcpSettings | undefined;

  constructor(context: WorkerContext) {
    this.#context = context;
    const { random } = context;
    this.#question = { random, nowMs: 0, hash: 0, tried: this.#tried, triedCount: 0 };
  }

  get tries(): number {
    return this.#question.triedCount;
  }

  /** The request, or a part of it, was sent to a backend before the current one. */
  get wasSent(): boolean {
    return this.#retries > 0;
  }

  /** Nothing was tried yet, and it is nobody's: the last client's connection, and all that it holds, can go. */
  reset(): void {
    this.#service = undefined;
    this.#client = undefined;
    this.#tcp = undefined;
    this.#question.triedCount = 0;
    this.#retries = 0;
    this.#spare = undefined;
  }

  /** @param client Whom a preface names. */
  begin(service: ServiceState, client: PrefacedClient): void {
    this.reset();
    this.#service = service;
    this.#client = client;
  }

  /** It is, or asks to become, a connection of its own: the service's TCP settings hold for it, as they are now. */
  asConnection(): TcpSettings | undefined {
    this.#tcp = this.#service?.options?.tcp;
    return this.#tcp;
  }

  get #triesMax(): number {
    return this.#tcp?.connectTries ?? this.#context.limits.connectTriesMax;
  }

  /** The next backend to try: `preferred` first if it may be used; undefined: none is left. */
  next(preferred: BackendState | undefined): BackendState | undefined {
    this.done();
    const service = this.#service;
    if (service === undefined || this.#question.triedCount >= this.#triesMax) return undefined;
    const usable = preferred !== undefined && stays(preferred) && this.#question.triedCount === 0;
    const chosen = usable ? preferred : (this.#pick(service) ?? this.#takeSpare());
    return chosen === undefined ? undefined : this.#use(chosen);
  }

  #pick({ picker }: ServiceState): BackendState | undefined {
    this.#question.nowMs = this.#context.nowMs();
    return picker.pick(this.#question);
  }

  /**
   * Where to send the same request again, after the connection to the current backend broke: to another one, and
   * only when there is none to the same, whose connection was old (`reused`). With `stays` it is asked first: this
   * client belongs to it. Undefined: nobody is left, or the service has no answers to pay with (docs/decisions/0026).
   */
  retry(reused: boolean, stays: boolean): BackendState | undefined {
    const { limits, counters } = this.#context;
    const budget = this.#service?.retryBudget;
    if (budget === undefined || this.#retries >= limits.retriesMax) return undefined;
    const price = reused ? limits.retryReusedAnswers : limits.retryFreshAnswers;
    if (!budget.affords(price, limits.retryReserveAnswers)) {
      counters[Counter.retriesRefused]! += 1;
      return undefined;
    }
    if (reused) this.#spare = this.current;
    const chosen = this.#again(reused && stays);
    if (chosen === undefined) return undefined;
    budget.pay(price);
    this.#retries += 1;
    counters[Counter.upstreamRetries]! += 1;
    return chosen;
  }

  #again(stays: boolean): BackendState | undefined {
    const same = stays && this.#question.triedCount < this.#triesMax;
    const spare = same ? this.#takeSpare() : undefined;
    if (spare === undefined) return this.next(undefined);
    this.done();
    return this.#use(spare);
  }

  #takeSpare(): BackendState | undefined {
    const spare = this.#spare;
    this.#spare = undefined;
    return spare !== undefined && stays(spare) ? spare : undefined;
  }

  #use(chosen: BackendState): BackendState {
    this.#tried[this.#question.triedCount++] = chosen;
    this.current = chosen;
    this.#sentMs = this.#context.nowMs();
    this.#isAnswered = this.#isFailure = false;
    chosen.endpoint.inFlight += 1;
    chosen.inFlight += 1;
    chosen.requestsTotal += 1;
    this.#context.counters[Counter.upstreamTries]! += 1;
    return chosen;
  }

  /** An idle connection to the backend, now the owner's; or undefined. As UpstreamPool.take. */
  take(
    { endpoint }: BackendState,
    owner: UpstreamOwner,
    repeatable: boolean,
  ): UpstreamConnection | undefined {
    return this.#context.pool.take(endpoint, owner, this.#preface, repeatable);
  }

  /** A new connection to the backend, already dialling. */
  dial({ endpoint }: BackendState, owner: UpstreamOwner): UpstreamConnection {
    return this.#context.pool.dial(endpoint, owner, this.#preface, this.#tcp?.connectMs);
  }

  get #preface(): SentPreface | undefined {
    const version = this.#service?.proxyProtocol;
    const client = this.#client;
    if (version === undefined || client === undefined) return undefined;
    client.prefaces ??= new ClientPrefaces(client.ends);
    return client.prefaces.of(version);
  }

  /** No connection came about: nothing was sent. */
  connectFailed(reason: CloseReason, message: string): void {
    this.failed(reason === "refused" ? "connect refused" : `connect failed: ${message}`);
  }

  /** The backend did not do its part: the current one, unless another is named. */
  failed(why: string, backend = this.current): void {
    if (backend === undefined) return;
    const nowMs = this.#context.nowMs();
    const record = backend.recorded(nowMs);
    // The try has ended without an answer.
    if (backend === this.current && !this.#isAnswered) backend.observe(nowMs - this.#sentMs, nowMs);
    record.failuresTotal += 1;
    record.lastFailure = why;
  }

  /**
   * The answer of the current backend begins. That it failed is known now; that it succeeded when all of the answer
   * is there: see `succeeded`.
   */
  answered(status: number): void {
    const backend = this.current;
    if (backend === undefined) return;
    const nowMs = this.#context.nowMs();
    const latencyMs = nowMs - this.#sentMs;
    backend.recorded(nowMs).latencies.observe(latencyMs, nowMs);
    backend.observe(latencyMs, nowMs);
    this.#isAnswered = true;
    this.#isFailure = isFailure(status);
    if (this.#isFailure) this.failed(`HTTP ${status}`);
  }

  /** The current backend did its part; its service can pay for more retries. */
  succeeded(): void {
    this.#service?.retryBudget.answered(this.#context.limits.retryAnswersMax);
    const record = this.current?.record;
    if (record !== undefined && record.lastFailure !== "" && !this.#isFailure) {
      record.lastFailure = "";
    }
  }

  /** Its load ends. */
  done(): void {
    if (this.current === undefined) return;
    this.current.endpoint.inFlight -= 1;
    this.current.inFlight -= 1;
    this.current = undefined;
  }
}

/** New work may go there at all: it is still one of its service's, and not about to leave. */
function stays({ removed, standing }: BackendState): boolean {
  return !removed && !standing.draining;
}

/** 501 and 505 tell of the request, not of how the backend is. */
function isFailure(status: number): boolean {
  return status >= 500 && status !== 501 && status !== 505;
}
