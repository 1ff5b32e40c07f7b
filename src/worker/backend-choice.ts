// Which backend one request or connection goes to, and what its outcome teaches: the tries so far,
// the load that is counted while it lasts, the failures, the retries that its service can pay. And the
// connection there, which begins with a preface about the client where the service wants one.

import type { CloseReason } from "../io/stream.ts";
import type { TcpSettings } from "../model/service-options.ts";
import type { BackendState } from "../routing/backend-state.ts";
import type { PickQuestion } from "../routing/picker.ts";
import type { RetryReason, RetryRule } from "../routing/retry-rule.ts";
import type { ServiceState } from "../routing/service-state.ts";
import { Counter } from "../telemetry/counters.ts";
import { ClientPrefaces, type PrefacedClient } from "./client-prefaces.ts";
import type { WorkerContext } from "./context.ts";
import type { SentPreface, UpstreamConnection, UpstreamOwner } from "./upstream-connection.ts";

export class BackendChoice {
  /** The one in use; its load is counted until `done`. */
  current: BackendState | undefined;
  /** Who is asked as well; its load is counted until `hedgeDone` or `hedgeWon`. */
  hedged: BackendState | undefined;
  readonly #context: WorkerContext;
  /** The array keeps its length, which costs more to change than to count. */
  readonly #tried: BackendState[] = [];
  readonly #question: PickQuestion;
  #service: ServiceState | undefined;
  /** Of the route; undefined: it says nothing. */
  #rule: RetryRule | undefined;
  #tries = 0;
  /** Times that the request was sent again. */
  #retries = 0;
  /** Its connection was old when it broke: when there is no other, it is tried once more. */
  #spare: BackendState | undefined;
  #client: PrefacedClient | undefined;
  /** When the current one was chosen, in ms, monotonic. */
  #sentMs = 0;
  /** When the second one was. */
  #hedgedMs = 0;
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
    return this.#tries;
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
    this.#rule = undefined;
    this.#question.triedCount = 0;
    this.#tries = 0;
    this.#retries = 0;
    this.#spare = undefined;
  }

  /**
   * @param client Whom a preface names.
   * @param rule Of the route, if it says anything of tries.
   * @param hash Of what it is kept together by; 0 where its service does not ask.
   */
  begin(service: ServiceState, client: PrefacedClient, rule?: RetryRule, hash = 0): void {
    this.reset();
    this.#service = service;
    this.#client = client;
    this.#rule = rule;
    this.#question.hash = hash;
  }

  /** It is, or asks to become, a connection of its own: the service's TCP settings hold for it, as they are now. */
  asConnection(): TcpSettings | undefined {
    this.#tcp = this.#service?.options?.tcp;
    return this.#tcp;
  }

  get #triesMax(): number {
    if (this.#rule !== undefined && this.#rule.tries > 0) return this.#rule.tries;
    return this.#tcp?.connectTries ?? this.#context.limits.connectTriesMax;
  }

  /** The next backend to try: `preferred` first if it may be used; undefined: none is left. */
  next(preferred: BackendState | undefined): BackendState | undefined {
    this.done();
    const service = this.#service;
    if (service === undefined || this.#tries >= this.#triesMax) return undefined;
    const usable = preferred !== undefined && !preferred.removed && this.#tries === 0;
    const chosen = usable ? preferred : (this.#pick(service) ?? this.#takeSpare());
    return chosen === undefined ? undefined : this.#use(chosen);
  }

  #pick({ picker }: ServiceState): BackendState | undefined {
    this.#question.nowMs = this.#context.nowMs();
    return picker.pick(this.#question);
  }

  /**
   * Where to send the same request again, after the try at the current backend failed: to another one, and only when
   * there is none to the same, if its connection was old (`reused`) or the route says when to try again. With `stays`
   * it is asked first: this client belongs to it. Undefined: nobody is left, or the service has no answers to pay with
   * (docs/decisions/0026).
   */
  retry(why: RetryReason, reused: boolean, stays: boolean): BackendState | undefined {
    const { limits, counters } = this.#context;
    if (this.#retries >= this.#retriesMax) return undefined;
    const price = reused ? limits.retryReusedAnswers : this.#price;
    if (!this.#affords(price) || this.#tries >= this.#triesMax) return undefined;
    if (reused) this.#spare = this.current;
    const chosen = this.#again(reused && stays);
    if (chosen === undefined) return undefined;
    this.#service?.retryBudget.pay(price);
    this.#retries += 1;
    counters[Counter.upstreamRetries]! += 1;
    counters[counterOf[why]]! += 1;
    return chosen;
  }

  /** All of them, where the route says how many tries there are. */
  get #retriesMax(): number {
    return this.#rule !== undefined && this.#rule.tries > 0
      ? this.#rule.tries
      : this.#context.limits.retriesMax;
  }

  /** Of one retry, in answers. */
  get #price(): number {
    return this.#rule !== undefined && this.#rule.price > 0
      ? this.#rule.price
      : this.#context.limits.retryFreshAnswers;
  }

  #affords(price: number): boolean {
    const { limits, counters } = this.#context;
    if (this.#service?.retryBudget.affords(price, limits.retryReserveAnswers) === true) return true;
    counters[Counter.retriesRefused]! += 1;
    return false;
  }

  #again(stays: boolean): BackendState | undefined {
    const spare = stays ? this.#takeSpare() : undefined;
    const service = this.#service;
    if (service === undefined) return undefined;
    const chosen = spare ?? this.#pick(service) ?? this.#takeSpare() ?? this.#pickTried(service);
    if (chosen === undefined) return undefined;
    this.done();
    return this.#use(chosen);
  }

  /** All were tried. Where the route asks for more tries, those before the last one are asked again, or it itself. */
  #pickTried(service: ServiceState): BackendState | undefined {
    if (this.#rule === undefined || this.current === undefined) return undefined;
    this.#tried[0] = this.current;
    this.#question.triedCount = 1;
    const other = this.#pick(service);
    if (other !== undefined) return other;
    this.#question.triedCount = 0;
    return this.#pick(service);
  }

  /**
   * A second backend for the same request, beside the current one; paid for as a retry. Undefined: there is none, or
   * nothing to pay with.
   */
  hedge(): BackendState | undefined {
    const service = this.#service;
    if (service === undefined || this.#tries >= this.#triesMax) return undefined;
    const price = this.#price;
    if (!this.#affords(price)) return undefined;
    const chosen = this.#pick(service);
    if (chosen === undefined) return undefined;
    service.retryBudget.pay(price);
    this.#retries += 1;
    this.hedged = chosen;
    this.#hedgedMs = this.#context.nowMs();
    this.#enter(chosen);
    return chosen;
  }

  /** The second backend takes the place of the first, whose load ends: so long it has taken at least. */
  hedgeWon(): void {
    const nowMs = this.#context.nowMs();
    if (!this.#isAnswered) this.current?.observe(nowMs - this.#sentMs, nowMs);
    this.done();
    this.current = this.hedged;
    this.#sentMs = this.#hedgedMs;
    this.#isAnswered = this.#isFailure = false;
    this.hedged = undefined;
  }

  /** The second backend has answered, and the client does not get it; the first is still awaited. */
  hedgeRefused(status: number): void {
    const backend = this.hedged;
    if (backend === undefined) return;
    const nowMs = this.#context.nowMs();
    const latencyMs = nowMs - this.#hedgedMs;
    backend.recorded(nowMs).latencies.observe(latencyMs, nowMs);
    backend.observe(latencyMs, nowMs);
    if (isFailure(status)) this.failed(`HTTP ${status}`, backend);
  }

  /** The load of the second one ends. */
  hedgeDone(): void {
    if (this.hedged !== undefined) leave(this.hedged);
    this.hedged = undefined;
  }

  #takeSpare(): BackendState | undefined {
    const spare = this.#spare;
    this.#spare = undefined;
    return spare?.removed === true ? undefined : spare;
  }

  #use(chosen: BackendState): BackendState {
    this.current = chosen;
    this.#sentMs = this.#context.nowMs();
    this.#isAnswered = this.#isFailure = false;
    this.#enter(chosen);
    return chosen;
  }

  #enter(chosen: BackendState): void {
    this.#tries += 1;
    this.#tried[this.#question.triedCount++] = chosen;
    chosen.endpoint.inFlight += 1;
    chosen.inFlight += 1;
    chosen.requestsTotal += 1;
    this.#context.counters[Counter.upstreamTries]! += 1;
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
    // Asked again when an answer is relayed for want of another try.
    if (backend === undefined || this.#isAnswered) return;
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
    leave(this.current);
    this.current = undefined;
  }
}

function leave(backend: BackendState): void {
  backend.endpoint.inFlight -= 1;
  backend.inFlight -= 1;
}

const counterOf: Readonly<Record<RetryReason, number>> = {
  connect: Counter.retriesConnect,
  reset: Counter.retriesReset,
  timeout: Counter.retriesTimeout,
  status: Counter.retriesStatus,
  hedge: Counter.hedges,
};

/** 501 and 505 tell of the request, not of how the backend is. */
function isFailure(status: number): boolean {
  return status >= 500 && status !== 501 && status !== 505;
}
