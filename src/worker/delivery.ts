// Brings one request to a backend: chooses one, takes an idle connection to it or dials, keeps what it sent for as
// long as it may be sent again, and sends it again.
//
// Again means (RFC 9110 section 9.2.2): to another backend while nothing was sent; and an idempotent request, whose
// body, if any, is kept whole, when the connection broke before a byte of its answer: on a fresh connection, to another
// backend if there is one, as often as limits and the service's budget allow (docs/decisions/0026). Nothing else is
// ever sent twice. A route may ask for more, and for less (docs/decisions/0040): then Tries keeps its times, and
// answers of some statuses are none while there is another try.

import type { CloseReason } from "../io/stream.ts";
import { hasStrayBody } from "../protocol/method.ts";
import type { RequestHead } from "../protocol/request-head.ts";
import type { ResponseHead } from "../protocol/response-head.ts";
import type { BackendState } from "../routing/backend-state.ts";
import type { RetryRule } from "../routing/retry-rule.ts";
import { Counter } from "../telemetry/counters.ts";
import { BackendChoice } from "./backend-choice.ts";
import { flush } from "./body-relay.ts";
import type { WorkerContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { HeldRequest } from "./held-request.ts";
import type { MirrorCopy } from "./mirror-copy.ts";
import { isReplayable, isWhole } from "./repeatable.ts";
import { Tries } from "./tries.ts";
import type { UpstreamConnection, UpstreamOwner } from "./upstream-connection.ts";

/** Waiting: for its turn at its service; there is no connection yet, or no more. */
const Phase = { Idle: 0, Waiting: 1, Dialling: 2, Sent: 3 } as const;

/** What was kept of a request. */
type Saved = Pick<UpstreamConnection, "saved" | "savedLength">;

export class Delivery implements UpstreamOwner {
  readonly choice: BackendChoice;
  connection: UpstreamConnection | undefined;
  readonly #context: WorkerContext;
  readonly #exchange: Exchange;
  #phase: number = Phase.Idle;
  /** It may be sent again: what was sent is kept, and the client has got nothing of an answer. */
  #replayable = false;
  /** A byte of this try's answer has come. */
  #heard = false;
  /** Of the request's route while its answer is awaited; undefined: the route says nothing of tries. */
  #rule: RetryRule | undefined;
  #tries: Tries | undefined;
  /** What waits; made with the first that has to. */
  #held: HeldRequest | undefined;
  /** The backend may have taken the body for a request of its own: what it answers to that must find nobody. */
  #isLast = false;
  /** A copy for the route's mirror that the body is still to come for. */
  #copy: MirrorCopy | undefined;

  constructor(context: WorkerContext, exchange: Exchange) {
    this.#context = context;
    this.#exchange = exchange;
    this.choice = new BackendChoice(context);
  }

  /** The request is on its way, or its answer. */
  get active(): boolean {
    return this.#phase !== Phase.Idle;
  }

  /** Whether body bytes of the request can be taken now. */
  get takesBody(): boolean {
    return this.#phase === Phase.Sent && this.connection !== undefined;
  }

  get isWaiting(): boolean {
    return this.#phase === Phase.Waiting;
  }

  /** Bytes for the backend that the kernel has not taken. */
  get queuedBytes(): number {
    return this.connection?.stream.queuedBytes ?? 0;
  }

  /** For the request whose head was just parsed. */
  begin(head: RequestHead): void {
    this.#replayable = isReplayable(head, this.#context.limits.replayBodyBytesMax);
    this.#rule = undefined;
    this.#isLast = hasStrayBody(head);
  }

  /** Writes the head, and sends it or keeps it until a connection stands. */
  send(bytes: Uint8Array, backend: BackendState): void {
    const { record, route } = this.#exchange;
    const connection = this.choice.take(backend, this, this.#replayable);
    const { address } = backend.endpoint;
    record.backend = address;
    this.#copy = this.#exchange.writeHead(bytes, address);
    this.#dispatch(backend, connection);
    this.mirrorBody(bytes, 0, 0);
    if (route?.retry !== undefined) this.#follow(route.retry);
  }

  /** No backend may have it now: what one is to get waits. `address`: for a request that names no host. */
  hold(bytes: Uint8Array, address: string): void {
    const { writer } = this.#context;
    this.#copy = this.#exchange.writeHead(bytes, address);
    this.mirrorBody(bytes, 0, 0);
    this.#wait(writer.bytes, writer.length, false);
    writer.length = 0;
  }

  /** @param isAgain It was given to a backend before: then it comes ahead of those that were not. */
  #wait(saved: Uint8Array, length: number, isAgain: boolean): void {
    this.#held ??= new HeldRequest(this.#exchange);
    this.#phase = Phase.Waiting;
    this.#held.begin(saved, length, isAgain);
  }

  /** Its turn has come; undefined: nobody is left who could take it. */
  goesOn(backend: BackendState | undefined): void {
    const held = this.#held!;
    if (backend === undefined) return this.#exchange.nobodyLeft("no-backend");
    this.#sendAgain(backend, held, held.isAgain);
    held.forget();
    const rule = this.#exchange.route?.retry;
    if (rule !== undefined && !held.isAgain) this.#follow(rule);
  }

  /** The first try is under way. A client that sticks to its backend is not to find itself at another. */
  #follow(rule: RetryRule): void {
    this.#rule = rule;
    this.#heard = false;
    this.#tries ??= new Tries(this.#context, this.#exchange, this);
    this.#tries.begin(rule, this.#replayable && this.#exchange.stickyPlace === undefined);
  }

  #dispatch(backend: BackendState, connection: UpstreamConnection | undefined): void {
    const { writer } = this.#context;
    if (connection === undefined) {
      this.#phase = Phase.Dialling;
      this.connection = this.choice.dial(backend, this);
      this.connection.save(writer.bytes, writer.length);
      writer.length = 0;
      return;
    }
    this.#phase = Phase.Sent;
    this.connection = connection;
    if (this.#replayable) connection.save(writer.bytes, writer.length);
    // With a body, the head leaves together with its first bytes: see feedRequest.
    if (this.#exchange.requestBody.done) flush(writer, connection.stream);
  }

  /** These bytes of the request's body were sent. Framed by its length, a body leaves as it came. */
  sentBody(bytes: Uint8Array, start: number, end: number): void {
    if (this.#replayable) this.connection?.saveMore(bytes, start, end);
  }

  /** The same bytes for the copy, if there is one; goes when they are all there. */
  mirrorBody(bytes: Uint8Array, start: number, end: number): void {
    if (this.#copy?.feed(bytes, start, end) === true) this.#copy = undefined;
  }

  /** Gives the backend's connection back, or up. */
  end(reusable: boolean): void {
    const { connection } = this;
    if (this.#rule !== undefined) this.#tries?.end();
    this.#copy?.dropUnsent();
    this.#copy = undefined;
    if (this.isWaiting) this.#held?.forget();
    this.#phase = Phase.Idle;
    this.connection = undefined;
    // Nobody will ask for a connection to a backend that leaves.
    const wanted = reusable && !this.#isLast && this.choice.current?.standing.draining !== true;
    this.choice.done();
    if (connection !== undefined) this.#context.pool.release(connection, wanted);
  }

  /** 101: the connection is not ours any more; the backend's load counts until `choice.done`. */
  handOver(): UpstreamConnection {
    const connection = this.connection!;
    if (this.#rule !== undefined) this.#tries?.end();
    this.choice.answered(101);
    this.choice.succeeded();
    this.#phase = Phase.Idle;
    this.connection = undefined;
    return connection;
  }

  // --- what the connection to the backend does

  onUpstreamConnect(): void {
    const connection = this.connection!;
    this.#phase = Phase.Sent;
    connection.stream.write(connection.saved, 0, connection.savedLength);
    if (!this.#replayable) connection.forgetSaved();
    this.#exchange.delivered();
  }

  onUpstreamData(bytes: Uint8Array, start: number, end: number): void {
    if (this.#rule !== undefined) this.#heard = true;
    else if (this.#replayable) {
      this.#replayable = false;
      this.connection?.forgetSaved();
    }
    this.#exchange.response.receive(bytes, start, end);
  }

  onUpstreamEnd(): void {
    if (this.#exchange.response.upstreamEnded()) return;
    this.#lost("the backend closed the connection");
  }

  onUpstreamWritable(): void {
    this.#exchange.client.requestMayGoOn();
  }

  onUpstreamClose(reason: CloseReason, message: string): void {
    const connected = this.connection?.connected === true;
    if (!connected) this.#dialFailed(reason, message);
    else if (reason !== "finished" || !this.#exchange.response.upstreamEnded()) this.#lost(message);
  }

  /** Nothing was sent: another backend may be tried (at most `connectTriesMax`). */
  #dialFailed(reason: CloseReason, message: string): void {
    this.#context.counters[Counter.upstreamConnectFailures]! += 1;
    this.choice.connectFailed(reason, message);
    if (!this.goesOnBesides()) this.#tryUnsent("connect", this.#rule?.onConnect ?? true);
  }

  /** The connection did not come about. */
  #tryUnsent(why: "connect" | "timeout", mayTry: boolean): void {
    const { choice } = this;
    const failed = this.connection!;
    this.connection = undefined;
    const backend = mayTry ? choice.next(undefined) : undefined;
    if (backend !== undefined) {
      const { counters } = this.#context;
      counters[why === "timeout" ? Counter.retriesTimeout : Counter.retriesConnect]! += 1;
      this.#exchange.record.noteRetry(why, failed.endpoint.address);
      return this.#sendAgain(backend, failed, true);
    }
    if (mayTry && choice.mustWait) return this.#wait(failed.saved, failed.savedLength, true);
    if (why === "timeout") return this.#exchange.lateness.outOfTries();
    this.#exchange.nobodyLeft("no-backend-reachable");
  }

  /** To `backend` what `previous` kept; on a connection of its own (`fresh`), where one that was idle may be as dead. */
  #sendAgain(backend: BackendState, previous: Saved, fresh: boolean): void {
    const { choice } = this;
    this.#exchange.record.backend = backend.endpoint.address;
    this.#heard = false;
    const taken = fresh ? undefined : choice.take(backend, this, this.#replayable);
    const connection = taken ?? choice.dial(backend, this);
    this.connection = connection;
    connection.save(previous.saved, previous.savedLength);
    this.#phase = Phase.Dialling;
    if (this.#rule !== undefined) this.#tries?.tryBegins();
    if (taken !== undefined) this.onUpstreamConnect();
  }

  /** The connection broke after the request, or a part of it, went out. */
  #lost(message: string): void {
    const { connection, choice } = this;
    if (connection === undefined || this.#exchange.response.refusedPartial()) return;
    const why = message === "" ? "connection closed" : message;
    // That an idle connection was closed is no failure of its backend, unless it fails the request.
    if (!connection.reused) choice.failed(why);
    if (this.goesOnBesides()) return;
    const mayRepeat = this.#mayRepeat;
    const again = mayRepeat ? this.#nextAfter(connection) : undefined;
    if (again === undefined && !(mayRepeat && choice.mustWait)) {
      if (connection.reused) choice.failed(why, choice.current, this.#isOld);
      return this.#exchange.fail(502, "backend-closed", "");
    }
    this.connection = undefined;
    connection.destroy(true);
    this.#repeat(again, connection, "reset");
  }

  /** To `again`, or, when there is no room, to whoever has some first. */
  #repeat(again: BackendState | undefined, after: UpstreamConnection, why: string): void {
    this.#exchange.record.noteRetry(why, after.endpoint.address);
    if (again !== undefined) this.#sendAgain(again, after, why === "reset");
    else this.#wait(after.saved, after.savedLength, true);
  }

  /** After its connection broke. */
  get #mayRepeat(): boolean {
    const rule = this.#rule;
    return this.#replayable && (rule === undefined || (rule.onReset && !this.#heard));
  }

  /** The connection was idle before, and nothing of an answer has come: that tells little of the backend. */
  get #isOld(): boolean {
    return this.connection?.reused === true && !this.#exchange.response.begun;
  }

  /** Where the request is sent again. A client that sticks to its backend stays there if the connection was old. */
  #nextAfter({ reused, endpoint }: UpstreamConnection): BackendState | undefined {
    const stays = this.#exchange.stickyPlace?.backend.endpoint === endpoint;
    return this.choice.retry("reset", reused, stays);
  }

  // --- what the route says of tries

  /**
   * Whether the answer of which `head` has come is none, for its status: then the request is on its way once more, and
   * nothing of this answer is to be relayed. bytes[next..end) is what came behind the head.
   */
  refuses(head: ResponseHead, next: number, end: number): boolean {
    if (this.#rule === undefined) return false;
    const { connection, choice } = this;
    const isRefused = this.#replayable && this.#tries?.isRefused(head.status) === true;
    if (connection === undefined || !isRefused) {
      this.#isAnswered();
      return false;
    }
    choice.answered(head.status);
    if (this.goesOnBesides()) return true;
    const last = choice.current;
    const again = choice.retry("status", false, false);
    if (again === undefined) {
      this.#isAnswered();
      return false;
    }
    this.#exchange.record.noteRetry(`status-${head.status}`, connection.endpoint.address);
    const isInOrder = this.#isInOrder(head, connection, end - next);
    this.#sendAgain(again, connection, false);
    this.#context.pool.release(connection, isInOrder && last?.standing.draining !== true);
    return true;
  }

  #isInOrder(head: ResponseHead, { stream }: UpstreamConnection, bytesBehind: number): boolean {
    const isSent = this.#exchange.requestBody.done && stream.queuedBytes === 0;
    return isWhole(head, bytesBehind) && isSent && head.keepAlive && !this.#isLast;
  }

  /** An interim answer goes to the client: from now on this backend's answer is the answer. */
  interim(): void {
    this.#replayable = false;
    if (this.#rule === undefined) return;
    this.connection?.forgetSaved();
    this.#tries?.dropSecond();
  }

  /** The client gets what this backend answers. */
  #isAnswered(): void {
    this.#replayable = false;
    this.#rule = undefined;
    this.#tries?.answered();
  }

  /** The time for one try is over. */
  tryTimedOut(): void {
    const { connection, choice } = this;
    const { response, lateness } = this.#exchange;
    // It waits for its turn.
    if (connection === undefined || this.#rule === undefined) return;
    this.#context.counters[Counter.tryTimeouts]! += 1;
    if (response.refusedPartial()) return;
    const { onConnect, onTimeout } = this.#rule;
    const isUnsent = this.#phase === Phase.Dialling;
    choice.failed("timeout");
    if (this.goesOnBesides()) return;
    connection.destroy(true);
    // Nothing was sent: that is no more than a dial that failed, for any method.
    if (isUnsent) return this.#tryUnsent("timeout", onConnect || onTimeout);
    this.connection = undefined;
    const mayRepeat = onTimeout && this.#replayable;
    const again = mayRepeat ? choice.retry("timeout", false, false) : undefined;
    if (again === undefined && !(mayRepeat && choice.mustWait)) return lateness.outOfTries();
    response.forgetPartial();
    this.#repeat(again, connection, "timeout");
  }

  /** What a second backend may be sent as well: the connection that keeps it; undefined: nothing. */
  get repeatable(): UpstreamConnection | undefined {
    return this.#replayable ? this.connection : undefined;
  }

  /** A second backend was asked as well: it is the only one from now on. False: none was. */
  goesOnBesides(): boolean {
    if (this.#tries?.hedges !== true) return false;
    this.connection?.destroy(true);
    this.#tries.takeOver();
    return true;
  }

  /** The second backend that was asked is not waited for any more. */
  dropBesides(): void {
    this.#tries?.dropSecond();
  }

  /** This connection takes the place of the one that there was. */
  adopt(connection: UpstreamConnection): void {
    const { choice } = this;
    choice.hedgeWon();
    this.#exchange.record.backend = connection.endpoint.address;
    this.#exchange.response.forgetPartial();
    this.#heard = false;
    this.connection = connection;
    connection.owner = this;
    this.#phase = connection.connected ? Phase.Sent : Phase.Dialling;
  }
}
