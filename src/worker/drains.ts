// Backends that leave, inside a worker: their idle connections are closed as soon as they drain, and what is still
// open there is cut once the table says that they have drained. Their new requests are nobody's business here: a
// service does not use a backend that drains (routing/usable-backends.ts).
//
// A removal by itself cuts nothing. But a worker that gets a whole table, or several changes as one, may never see the
// word "drained": then the drain's own deadline decides.

import type { Backend } from "../model/backend.ts";
import type { Change } from "../model/change.ts";
import type { BackendState } from "../routing/backend-state.ts";
import type { WorkerContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import type { Sessions } from "./sessions.ts";
import { Upgraded } from "./upgraded.ts";

/** The backends among these changes that leave, in their order. */
export function leavingOf(changes: readonly Change[]): Backend[] {
  const leaving: Backend[] = [];
  for (const change of changes) {
    if (change.kind === "backend-put" && change.backend.drain !== undefined) {
      leaving.push(change.backend);
    }
  }
  return leaving;
}

export class Drains {
  readonly #context: Pick<WorkerContext, "table" | "pool" | "wallMs">;
  readonly #sessions: Pick<Sessions, "cutAt">;
  /** Those that drain, and until when, in ms since the epoch. */
  readonly #draining = new Map<BackendState, number>();

  constructor(
    context: Pick<WorkerContext, "table" | "pool" | "wallMs">,
    sessions: Pick<Sessions, "cutAt">,
  ) {
    this.#context = context;
    this.#sessions = sessions;
  }

  /** Before changes are applied: whose drain they end. */
  over(leaving: readonly Backend[]): BackendState[] {
    return leaving.flatMap((backend) => {
      const state = backend.drain?.state === "drained" ? this.#stateOf(backend) : undefined;
      return state === undefined ? [] : [state];
    });
  }

  /** After changes were applied. @param over What `over` answered before. */
  changed(leaving: readonly Backend[], over: readonly BackendState[]): void {
    for (const state of over) this.#cut(state);
    for (const backend of leaving) this.#note(backend);
    if (this.#draining.size > 0) this.#lookAtGone();
  }

  /** After a whole table has taken over. @param leaving All of it that leaves. */
  replaced(leaving: readonly Backend[]): void {
    this.changed(leaving, this.over(leaving));
  }

  #note(backend: Backend): void {
    const state = this.#stateOf(backend);
    if (state === undefined || backend.drain?.state !== "draining") return;
    if (!state.standing.draining) return;
    this.#draining.set(state, backend.drain.deadlineMs);
    // Another service may have the same address: it dials anew.
    this.#context.pool.close(state.endpoint);
  }

  #cut(state: BackendState): void {
    this.#draining.delete(state);
    this.#context.pool.close(state.endpoint);
    if (state.inFlight > 0) this.#sessions.cutAt(state);
  }

  /** What is removed before its time is over is left alone: it was not the drain that removed it, or nothing is open. */
  #lookAtGone(): void {
    const nowMs = this.#context.wallMs();
    for (const [state, deadlineMs] of this.#draining) {
      if (state.removed && deadlineMs <= nowMs) this.#cut(state);
      else if (state.removed || !state.standing.draining) this.#draining.delete(state);
    }
  }

  #stateOf(backend: Backend): BackendState | undefined {
    return this.#context.table.service(backend.service)?.backendAt(backend.address);
  }
}

/** Cuts a request at this backend, if it is there; `after` is what its connection goes on as. */
export function cutExchange(exchange: Exchange, after: unknown, backend: BackendState): void {
  const { delivery } = exchange;
  if (delivery.choice.hedged === backend) return delivery.dropBesides();
  if (delivery.choice.current !== backend) return;
  if (after instanceof Upgraded) return after.destroy("backend-drained");
  if (delivery.goesOnBesides()) return;
  exchange.fail(504, "backend-drained", "");
}
