// One request's, or connection's, way through the gate of its service: what it holds there, whether it has to wait, and
// which of the backends that its picker names have room.
//
// Made for the first request of an exchange that meets a gate, and used again; the others never see one.

import { Policy } from "../model/service.ts";
import type { BackendState, Endpoint } from "../routing/backend-state.ts";
import { isTried, type PickQuestion } from "../routing/picker.ts";
import { betterThan } from "../routing/second-choice.ts";
import type { ServiceState } from "../routing/service-state.ts";
import { Place, type ServiceGate } from "./service-gate.ts";
import { gateOf } from "./service-gates.ts";
import type { SentPreface } from "./upstream-connection.ts";
import { Waiter, type WaiterOwner, type WaitRefusal } from "./waiting-line.ts";

/** So many picks may name one without room; then the backends are gone through in their order. */
const picksMax = 4;

export class Passage {
  /** There was no room, or the service is paused: `wait`. */
  mustWait = false;
  readonly #place = new Place();
  #waiter: Waiter | undefined;
  #waitsAt: ServiceGate | undefined;

  /** For how long the request has waited, in ms. */
  get waitedMs(): number {
    return this.#waiter?.waitedMs ?? 0;
  }

  /** For a request that has just come. */
  begin(): void {
    this.mustWait = false;
    if (this.#waiter !== undefined) this.#waiter.deadlineMs = this.#waiter.waitedMs = 0;
  }

  /** Whether a backend may be chosen now. */
  enters(service: ServiceState, isConnection: boolean): boolean {
    const gate = gateOf(service);
    if (this.#place.gate === undefined) this.#place.isConnection = isConnection;
    this.mustWait = gate !== undefined && !gate.enter(this.#place);
    return !this.mustWait;
  }

  /** As Picker.pick, among those that have room. It is counted there then. */
  pick(
    service: ServiceState,
    question: PickQuestion,
    tried: BackendState[],
    preface: SentPreface | undefined,
  ): BackendState | undefined {
    const gate = gateOf(service);
    let chosen = pickOf(service, question);
    if (gate === undefined) return chosen;
    const { triedCount } = question;
    let isFull = false;
    for (let picks = 1; chosen !== undefined && !this.#takes(gate, chosen, preface); picks++) {
      tried[question.triedCount++] = chosen;
      isFull ||= service.usable.includes(chosen);
      if (picks === picksMax) {
        chosen = this.#any(gate, service.usable, question, preface);
        break;
      }
      chosen = pickOf(service, question);
      // What is left out is no spare room: one that is good will have some.
      if (isFull && chosen !== undefined && !service.usable.includes(chosen)) chosen = undefined;
    }
    if (chosen === undefined && question.triedCount > triedCount) this.mustWait = true;
    question.triedCount = triedCount;
    return chosen;
  }

  /** From a place drawn at random on, the first that has room. */
  #any(
    gate: ServiceGate,
    usable: readonly BackendState[],
    { random, tried, triedCount }: PickQuestion,
    preface: SentPreface | undefined,
  ): BackendState | undefined {
    const count = usable.length;
    const from = Math.floor(random() * count);
    for (let i = 0; i < count; i++) {
      const backend = usable[(from + i) % count]!;
      if (!isTried(backend, tried, triedCount) && this.#takes(gate, backend, preface))
        return backend;
    }
    return undefined;
  }

  /** Whether this very backend has room; then it is counted there. */
  takes(service: ServiceState, backend: BackendState, preface: SentPreface | undefined): boolean {
    const gate = gateOf(service);
    if (gate === undefined || this.#takes(gate, backend, preface)) return true;
    this.mustWait = true;
    return false;
  }

  #takes(gate: ServiceGate, backend: BackendState, preface: SentPreface | undefined): boolean {
    return gate.takeRoom(backend, this.#place, preface);
  }

  /** Whether a connection that is about to be dialled has to take the place of an idle one. */
  replaces(service: ServiceState | undefined, endpoint: Endpoint): boolean {
    const isReserved = this.#place.reserved === endpoint;
    if (isReserved) this.#place.reserved = undefined;
    return !isReserved && service !== undefined && gateOf(service)?.limitsConnections === true;
  }

  /** A request there has ended. */
  static left(service: ServiceState, backend: BackendState): void {
    gateOf(service)?.leftBackend(backend);
  }

  /** Waits until `owner` is told; or why not. @param again It was let through before. */
  wait(
    service: ServiceState | undefined,
    owner: WaiterOwner,
    again: boolean,
  ): WaitRefusal | undefined {
    const gate = service === undefined ? undefined : gateOf(service);
    // The gate was taken away between `next` and here: it cannot, both are of one turn.
    if (gate === undefined) return "service-full";
    this.#place.gate?.leave(this.#place);
    this.#waiter ??= new Waiter(owner);
    this.#place.waiter = this.#waiter;
    this.#waitsAt = gate;
    return gate.join(this.#waiter, again);
  }

  /** None was chosen. What it holds of the service is not kept from others who may have a backend to go to. */
  fails(): void {
    if (this.mustWait) this.#place.gate?.giveBack(this.#place);
  }

  /** A backend was chosen. */
  goes(): void {
    this.mustWait = false;
    this.#depart();
  }

  /** It waits no more. */
  #depart(): void {
    if (this.#waiter !== undefined) this.#waitsAt?.depart(this.#waiter);
    this.#waitsAt = undefined;
  }

  /** It is over: what it holds is others'. */
  leave(): void {
    this.#depart();
    this.#place.gate?.leave(this.#place);
  }
}

/** The one that its picker names; for a request that was at others before, a better one perhaps, unless age decides. */
export function pickOf(service: ServiceState, question: PickQuestion): BackendState | undefined {
  const chosen = service.picker.pick(question);
  if (question.triedCount === 0 || service.policy === Policy.Leader) return chosen;
  return betterThan(chosen, service.usable, question);
}
