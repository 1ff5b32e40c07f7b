// Which backend one request or connection goes to, and what its outcome teaches: the tries so far,
// the load that is counted while it lasts, the failures, the retries that its service can pay. And the
// connection there, which begins with a preface about the client where the service wants one.

import type { CloseReason } from "../io/stream.ts";
import type { TcpSettings } from "../model/service-options.ts";
import type { BackendState } from "../routing/backend-state.ts";
import type { PickQuestion } from "../routing/picker.ts";
import type { RetryReason, RetryRule } from "../routing/retry-rule.ts";
import type { ServiceState } from "../routing/service-state.ts";
import { isEjected } from "../routing/usable-backends.ts";
import { Counter } from "../telemetry/counters.ts";
import { ClientPrefaces, type PrefacedClient } from "./client-prefaces.ts";
import type { WorkerContext } from "./context.ts";
import { Passage, pickOf } from "./passage.ts";
import { countedAs } from "./retry-counters.ts";
import { TryOutcome } from "./try-outcome.ts";
import type { SentPreface, UpstreamConnection, UpstreamOwner } from "./upstream-connection.ts";
import type { WaiterOwner, WaitRefusal } from "./waiting-line.ts";

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
  /** Of these, before it waited last: then it begins anew. */
  #triesBefore = 0;
  /** Through the gate of its service; made with the first service that has one. */
  #passage: Passage | undefined;
  #isConnection = false;
  /** Times that the request was sent again. */
  #retries = 0;
  /** Its connection was old when it broke: when there is no other, it is tried once more. */
  #spare: BackendState | undefined;
  #client: PrefacedClient | undefined;
  /** What comes of the try at the current one. */
  #outcome: TryOutcome;
  /** Of the second one; undefined: there never was one. */
  #secondOutcome: TryOutcome | undefined;
  /** Of its service, for a TCP connection or one that asks to be upgraded; undefined: the node's limits hold. */
  #tcp: TcpSettings | undefined;

  constructor(context: WorkerContext) {
    this.#context = context;
    this.#outcome = new TryOutcome(context);
    const { random } = context;
    this.#question = { random, nowMs: 0, hash: 0, tried: this.#tried, triedCount: 0 };
  }

  get tries(): number {
    return this.#tries;
  }

  /** Nobody was chosen, because there is no room or the service is paused: `wait`. */
  get mustWait(): boolean {
    return this.#passage !== undefined && this.#passage.mustWait;
  }

  /** For how long it has waited for its turn, in ms; 0: not at all. */
  get waitedMs(): number {
    return this.#passage === undefined ? 0 : this.#passage.waitedMs;
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
    this.#tries = this.#triesBefore = 0;
    this.#isConnection = false;
    this.#retries = 0;
    this.#spare = undefined;
    this.#outcome.forget();
    this.#secondOutcome?.forget();
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
    if (this.#passage !== undefined) this.#passage.begin();
    this.#question.hash = hash;
  }

  /** It is, or asks to become, a connection of its own: the service's TCP settings hold for it, as they are now. */
  asConnection(): TcpSettings | undefined {
    this.#isConnection = true;
    this.#tcp = this.#service?.options?.tcp;
    return this.#tcp;
  }

  get #triesMax(): number {
    if (this.#rule !== undefined && this.#rule.tries > 0) return this.#rule.tries;
    return this.#tcp?.connectTries ?? this.#context.limits.connectTriesMax;
  }

  get #isOutOfTries(): boolean {
    return this.#tries - this.#triesBefore >= this.#triesMax;
  }

  /** The next backend to try: `preferred` first if it may be used; undefined: none is left, or see `mustWait`. */
  next(preferred: BackendState | undefined): BackendState | undefined {
    this.#release();
    const service = this.#service;
    if (service === undefined || !this.#passes(service) || this.#isOutOfTries) return undefined;
    const first = this.#tries === 0 ? preferred : undefined;
    const isFirst = first !== undefined && mayStay(first, service) && this.#hasRoom(service, first);
    const chosen = (isFirst ? first : undefined) ?? this.#pick(service) ?? this.#takeSpare(service);
    if (chosen !== undefined) return this.#use(chosen);
    this.#passage?.fails();
    return undefined;
  }

  #pick(service: ServiceState): BackendState | undefined {
    const question = this.#question;
    question.nowMs = this.#context.nowMs();
    if (this.#passage === undefined) return pickOf(service, question);
    return this.#passage.pick(service, question, this.#tried, this.#preface);
  }

  /** Whether a backend may be chosen now. */
  #passes(service: ServiceState): boolean {
    if (this.#passage === undefined) {
      if (service.gate === undefined) return true;
      this.#passage = new Passage();
    }
    return this.#passage.enters(service, this.#isConnection);
  }

  /** Counted there then, if its service has limits. */
  #hasRoom(service: ServiceState, backend: BackendState): boolean {
    return this.#passage === undefined || this.#passage.takes(service, backend, this.#preface);
  }

  /**
   * After `mustWait`: takes its place in the line; `owner` is told when it is its turn, and calls `next` then. Or why it
   * may not wait. Whom it has tried before counts no more: when its turn comes they may be others.
   */
  wait(owner: WaiterOwner): WaitRefusal | undefined {
    this.#release();
    const refusal = this.#passage?.wait(this.#service, owner, this.#tries > 0);
    this.#triesBefore = this.#tries;
    this.#question.triedCount = 0;
    this.#spare = undefined;
    return refusal;
  }

  /**
   * Where to send the same request again, after the try at the current backend failed: to another one, and only when
   * there is none to the same, if its connection was old (`reused`) or the route says when to try again. With `stays`
   * it is asked first: this client belongs to it. Undefined: nobody is left, or the service has no answers to pay with
   * (docs/decisions/0026).
   */
  retry(why: RetryReason, reused: boolean, stays: boolean): BackendState | undefined {
    const { limits, counters } = this.#context;
    if (this.#passage !== undefined) this.#passage.mustWait = false;
    if (this.#retries >= this.#retriesMax) return undefined;
    const price = reused ? limits.retryReusedAnswers : this.#price;
    if (!this.#affords(price) || this.#isOutOfTries) return undefined;
    if (reused) this.#spare = this.current;
    const chosen = this.#again(reused && stays);
    // An answer that is here is worth more than a place in the line.
    if (chosen === undefined && (why === "status" || !this.mustWait)) return undefined;
    this.#service?.retryBudget.pay(price);
    this.#retries += 1;
    counters[Counter.upstreamRetries]! += 1;
    counters[countedAs[why]]! += 1;
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
    const service = this.#service;
    if (service === undefined || !this.#passes(service)) return undefined;
    const spare = stays ? this.#takeSpare(service) : undefined;
    const chosen =
      spare ?? this.#pick(service) ?? this.#takeSpare(service) ?? this.#pickTried(service);
    if (chosen === undefined) return undefined;
    const last = this.current;
    this.#use(chosen);
    if (last !== undefined) this.#leave(last);
    return chosen;
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
    if (service === undefined || this.#isOutOfTries || service.pause !== undefined)
      return undefined;
    const price = this.#price;
    if (!this.#affords(price)) return undefined;
    const chosen = this.#pick(service);
    if (chosen === undefined) return undefined;
    service.retryBudget.pay(price);
    this.#retries += 1;
    this.hedged = chosen;
    this.#secondOutcome ??= new TryOutcome(this.#context);
    this.#secondOutcome.begin(service, chosen);
    this.#enter(chosen);
    return chosen;
  }

  /** The second backend takes the place of the first, whose load ends: so long it has taken at least. */
  hedgeWon(): void {
    const first = this.#outcome;
    first.overtaken();
    this.#release();
    this.current = this.hedged;
    this.#outcome = this.#secondOutcome ?? first;
    this.#secondOutcome = first;
    this.hedged = undefined;
  }

  /** The second backend has answered, and the client does not get it; the first is still awaited. */
  hedgeRefused(status: number): void {
    this.#secondOutcome?.answered(status);
  }

  /** No connection to the second backend came about. */
  hedgeConnectFailed(reason: CloseReason, message: string): void {
    this.#secondOutcome?.connectFailed(reason, message);
  }

  /** The load of the second one ends. */
  hedgeDone(): void {
    if (this.hedged !== undefined) this.#leave(this.hedged);
    this.#secondOutcome?.end();
    this.hedged = undefined;
  }

  #takeSpare(service: ServiceState): BackendState | undefined {
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare === undefined || !takesWork(spare)) return undefined;
    return this.#hasRoom(service, spare) ? spare : undefined;
  }

  #use(chosen: BackendState): BackendState {
    if (this.#passage !== undefined) this.#passage.goes();
    this.current = chosen;
    this.#outcome.begin(this.#service, chosen);
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
    const { pool } = this.#context;
    const connectMs = this.#tcp?.connectMs;
    const isInstead = this.#passage?.replaces(this.#service, endpoint);
    return pool.dial(endpoint, owner, this.#preface, connectMs, isInstead);
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
   * The backend did not do its part: the current one, or the second.
   *
   * @param isOld Its connection was idle before, which it may close at any time: that alone is no sign of its health.
   */
  failed(why: string, backend = this.current, isOld = false): void {
    if (backend === undefined) return;
    const outcome = backend === this.current ? this.#outcome : this.#secondOutcome;
    outcome?.failed(why, isOld ? undefined : "failed");
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

  /** It is over, and so is the load of the current backend. */
  done(): void {
    this.#release();
    if (this.#passage !== undefined) this.#passage.leave();
  }

  /** The load of the current backend ends. */
  #release(): void {
    if (this.current === undefined) return;
    this.#leave(this.current);
    this.#outcome.end();
    this.current = undefined;
  }

  #leave(backend: BackendState): void {
    backend.endpoint.inFlight -= 1;
    backend.inFlight -= 1;
    if (this.#service?.gate !== undefined) Passage.left(this.#service, backend);
  }
}

/** Whether a client that belongs to this backend gets it: not when it was left out for its failures. */
function mayStay(backend: BackendState, service: ServiceState): boolean {
  return takesWork(backend) && (!isEjected(backend) || service.usable.includes(backend));
}

/** New work may go there at all: it is still one of its service's, and not about to leave. */
function takesWork({ removed, standing }: BackendState): boolean {
  return !removed && !standing.draining;
}
