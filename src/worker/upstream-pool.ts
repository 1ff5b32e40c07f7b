// Idle connections to backends, per address, shared by every route and service of this worker.
// The one that was used last is taken first: the others grow old and are closed. Connections that began
// with a preface are apart: they lie with the preface (SentPreface.idle), for the client that it names.

import type { Endpoint } from "../routing/backend-state.ts";
import { Counter } from "../telemetry/counters.ts";
import type { WorkerContext } from "./context.ts";
import { type SentPreface, UpstreamConnection, type UpstreamOwner } from "./upstream-connection.ts";

export class UpstreamPool {
  /** Grows with every `renew`: connections that are born before one of their address are not used again. */
  age = 0;
  readonly #context: () => WorkerContext;
  readonly #renewed = new WeakMap<Endpoint, number>();
  /** Idle ones that began with a preface, by their address: the longest idle first. */
  readonly #prefaced = new WeakMap<Endpoint, Set<UpstreamConnection>>();

  /** @param context Asked late: the context holds this pool. */
  constructor(context: () => WorkerContext) {
    this.#context = context;
  }

  /**
   * An idle connection, now the owner's; or undefined. What cannot be repeated (`repeatable` false) gets none that
   * was idle for long: its backend may be closing it at this moment.
   */
  take(
    endpoint: Endpoint,
    owner: UpstreamOwner,
    preface?: SentPreface,
    repeatable = true,
  ): UpstreamConnection | undefined {
    const context = this.#context();
    const idle = preface === undefined ? idleOf(endpoint) : preface.idle;
    const connection = newestOf(idle, endpoint, preface);
    if (idle === undefined || connection === undefined) return undefined;
    if (connection.born !== this.age && this.#isOutdated(connection)) {
      connection.destroy(false);
      return this.take(endpoint, owner, preface, repeatable);
    }
    if (!repeatable && isOld(context, connection)) return undefined;
    unlist(idle, connection.idleIndex);
    connection.idleIndex = -1;
    if (preface !== undefined) this.#prefaced.get(endpoint)?.delete(connection);
    connection.owner = owner;
    connection.reused = true;
    context.wheel.disarm(connection.timer);
    context.counters[Counter.upstreamReused]! += 1;
    context.counters[Counter.upstreamIdle]! -= 1;
    return connection;
  }

  /** Whether `take` would find one, if it may be idle for long. */
  hasIdle(endpoint: Endpoint, preface: SentPreface | undefined): boolean {
    const idle = preface === undefined ? idleOf(endpoint) : preface.idle;
    return newestOf(idle, endpoint, preface) !== undefined;
  }

  /** Whether one is idle there for anybody: `dial` with `instead` gives it up. */
  hasAnyIdle(endpoint: Endpoint): boolean {
    return this.#anyIdle(endpoint) !== undefined;
  }

  #anyIdle(endpoint: Endpoint): UpstreamConnection | undefined {
    const [prefaced] = this.#prefaced.get(endpoint) ?? [];
    return prefaced ?? idleOf(endpoint)?.at(-1);
  }

  /**
   * A new connection, already dialling. @param connectMs How long it may take; undefined: the node's limit.
   * @param instead It takes the place of an idle one that cannot be used: there are not to be more of them.
   */
  dial(
    endpoint: Endpoint,
    owner: UpstreamOwner,
    preface?: SentPreface,
    connectMs?: number,
    instead = false,
  ): UpstreamConnection {
    const context = this.#context();
    const connection = new UpstreamConnection(context, endpoint, owner, preface);
    if (!instead) connection.dial(connectMs);
    else {
      const idle = preface === undefined ? idleOf(endpoint) : preface.idle;
      context.counted.replace(endpoint, () => {
        (newestOf(idle, endpoint, preface) ?? this.#anyIdle(endpoint))?.destroy(false);
        connection.dial(connectMs);
      });
    }
    return connection;
  }

  /** Takes back a connection whose last answer is complete; `wanted` false closes it. */
  release(connection: UpstreamConnection, wanted: boolean): void {
    const context = this.#context();
    connection.owner = undefined;
    connection.forgetSaved();
    let idle = connection.preface?.idle ?? idleOf(connection.endpoint);
    if (idle === undefined) connection.endpoint.pool = idle = [];
    const full =
      idle.length >= context.limits.upstreamIdlePerBackendMax ||
      context.counters[Counter.upstreamIdle]! >= context.limits.upstreamIdleMax;
    const isOutdated = connection.born !== this.age && this.#isOutdated(connection);
    const isOver = context.draining || connection.endpoint.users === 0 || isOutdated;
    if (!wanted || full || isOver) {
      connection.destroy(false);
      return;
    }
    connection.idleIndex = idle.length;
    idle.push(connection);
    if (connection.preface !== undefined) this.#prefacedAt(connection.endpoint).add(connection);
    context.counters[Counter.upstreamIdle]! += 1;
    context.wheel.arm(connection.timer, context.limits.upstreamIdleMsMax);
  }

  /** Strikes a connection off the list of idle ones, if it is there. */
  forget(connection: UpstreamConnection): void {
    const at = connection.idleIndex;
    if (at < 0) return;
    connection.idleIndex = -1;
    const idle = connection.preface?.idle ?? idleOf(connection.endpoint);
    if (idle !== undefined) unlist(idle, at);
    if (connection.preface !== undefined) this.#prefacedAt(connection.endpoint).delete(connection);
    this.#context().counters[Counter.upstreamIdle]! -= 1;
  }

  #prefacedAt(endpoint: Endpoint): Set<UpstreamConnection> {
    let prefaced = this.#prefaced.get(endpoint);
    if (prefaced === undefined) this.#prefaced.set(endpoint, (prefaced = new Set()));
    return prefaced;
  }

  /** What listens at the address may be another process from now on: no connection from before is used again. */
  renew(endpoint: Endpoint): void {
    this.#renewed.set(endpoint, ++this.age);
    this.close(endpoint);
  }

  #isOutdated({ born, endpoint }: UpstreamConnection): boolean {
    return born < (this.#renewed.get(endpoint) ?? 0);
  }

  /** Closes every idle connection of an address that is not to be used, or not for now. */
  close(endpoint: Endpoint): void {
    for (;;) {
      const idle = this.#anyIdle(endpoint);
      if (idle === undefined) return;
      idle.destroy(false);
    }
  }
}

/** The one that was used last. */
function newestOf(
  idle: readonly UpstreamConnection[] | undefined,
  endpoint: Endpoint,
  preface: SentPreface | undefined,
): UpstreamConnection | undefined {
  return preface === undefined ? idle?.at(-1) : idle?.findLast((one) => one.endpoint === endpoint);
}

/** Fills the place with the last one. */
function unlist(idle: UpstreamConnection[], at: number): void {
  const last = idle.pop();
  if (last === undefined || at === idle.length) return;
  idle[at] = last;
  last.idleIndex = at;
}

/** Idle for longer than what cannot be repeated may risk: the time left of its idle time says so. */
function isOld({ wheel, limits }: WorkerContext, { timer }: UpstreamConnection): boolean {
  return wheel.leftMs(timer) < limits.upstreamIdleMsMax - limits.unrepeatableIdleMsMax;
}

function idleOf(endpoint: Endpoint): UpstreamConnection[] | undefined {
  return Array.isArray(endpoint.pool) ? endpoint.pool : undefined;
}
