// Which backend one request or connection goes to, and what its outcome teaches: the tries so far,
// the load that is counted while it lasts, the failures, the retries that its service can pay. And the
// connection there, which begins with a preface about the client where the service wants one.

import type { CloseReason } from "../io/stream.ts";
import type { TcpSettings } from "../model/service-options.ts";
import type { BackendState } from "../routing/backend-state.ts";
import type { PickQuestion } from "../routing/picker.ts";
import { betterThan } from "../routing/second-choice.ts";
import type { ServiceState } from "../routing/service-state.ts";
import { isEjected } from "../routing/usable-backends.ts";
import { Counter } from "../telemetry/counters.ts";
import { ClientPrefaces, type PrefacedClient } from "./client-prefaces.ts";
import type { WorkerContext } from "./context.ts";
import { TryOutcome } from "./try-outcome.ts";
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
  /** What comes of the try at the current one. */
  #outcome: TryOutcome;
  /** Of the try before, which may only be told of when the next one has begun. */
  #outcomeBefore: TryOutcome;
  /** Of its service, for a TCP connection or one that asks to be upgraded; undefined: the node's limits hold. */
  #tcp: TcpSettings | undefined;

  constructor(context: WorkerContext) {
    this.#context = context;
    this.#outcome = new TryOutcome(context);
    this.#outcomeBefore = new TryOutcome(context);
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
    this.#outcome.forget();
    this.#outcomeBefore.forget();
  }

  /** @param client Whom a preface names. @param hash Of what it is kept together by; 0 where its service does not ask. */
  begin(service: ServiceState, client: PrefacedClient, hash = 0): void {
    this.reset();
    this.#service = service;
    this.#client = client;
    this.#question.hash = hash;
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
    const first = this.#question.triedCount === 0 ? preferred : undefined;
    const stays = first !== undefined && isTaken(first, service);
    const chosen = stays ? first : (this.#pick(service) ?? this.#takeSpare());
    return chosen === undefined ? undefined : this.#use(chosen);
  }

  #pick({ picker, usable }: ServiceState): BackendState | undefined {
    const question = this.#question;
    question.nowMs = this.#context.nowMs();
    const chosen = picker.pick(question);
    return question.triedCount === 0 ? chosen : betterThan(chosen, usable, question);
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
    return spare?.removed === true ? undefined : spare;
  }

  #use(chosen: BackendState): BackendState {
    this.#tried[this.#question.triedCount++] = chosen;
    this.current = chosen;
    const before = this.#outcomeBefore;
    this.#outcomeBefore = this.#outcome;
    this.#outcome = before;
    before.begin(this.#service, chosen);
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

  /** No connection to the current backend came about: nothing was sent. */
  connectFailed(reason: CloseReason, message: string): void {
    this.#outcome.connectFailed(reason, message);
  }

  /**
   * The backend did not do its part: the current one, unless another is named.
   *
   * @param isOld Its connection was idle before, which it may close at any time: that alone is no sign of its health.
   */
  failed(why: string, backend = this.current, isOld = false): void {
    this.#outcomeOf(backend)?.failed(why, isOld ? undefined : "failed");
  }

  #outcomeOf(backend: BackendState | undefined): TryOutcome | undefined {
    if (backend === undefined) return undefined;
    if (this.#outcome.backend === backend) return this.#outcome;
    return this.#outcomeBefore.backend === backend ? this.#outcomeBefore : undefined;
  }

  /** The answer of the current backend begins. @param status 0: a TCP connection stands. */
  answered(status: number): void {
    this.#outcome.answered(status);
  }

  /** The current backend did its part; its service can pay for more retries. */
  succeeded(): void {
    this.#service?.retryBudget.answered(this.#context.limits.retryAnswersMax);
    this.#outcome.succeeded();
  }

  /** Its load ends. */
  done(): void {
    if (this.current === undefined) return;
    this.current.endpoint.inFlight -= 1;
    this.current.inFlight -= 1;
    this.#outcome.end();
    this.current = undefined;
  }
}

/** Whether a client that belongs to this backend gets it. */
function isTaken(backend: BackendState, service: ServiceState): boolean {
  if (backend.removed) return false;
  return !isEjected(backend) || service.usable.includes(backend);
}
