// What the backends of one service have in flight in this worker, said where all workers of the node see it: for a
// service that limits the requests to each of them.
//
// By address: a backend that was removed and registered again is another one to its service, and what its predecessor
// still has in flight is at the same process. Does not know when somebody may go there (ServiceGate).

import { Field, type InFlight } from "../channel/in-flight.ts";
import type { BackendState } from "../routing/backend-state.ts";

interface Counted {
  row: number;
  /** Of this address; but for the last one all were removed. */
  states: BackendState[];
}

export class BackendRows {
  readonly #inFlight: InFlight;
  readonly #counted = new Map<string, Counted>();

  constructor(inFlight: InFlight) {
    this.#inFlight = inFlight;
  }

  /** Counts one more there, unless there are `max`. */
  claim(backend: BackendState, max: number): boolean {
    const counted = this.#of(backend);
    return this.#inFlight.claim(counted.row, Field.Requests, sumOf(counted), max);
  }

  /** It has as many as `backend.inFlight` says. */
  tell(backend: BackendState): void {
    this.#write(this.#of(backend));
  }

  /** Rows have come or gone, or it is counted from now on. @param backends All of the service. */
  renew(backends: readonly BackendState[]): void {
    for (const [address, counted] of this.#counted) {
      counted.states = counted.states.filter(({ inFlight }) => inFlight > 0);
      const [first] = counted.states;
      if (first === undefined) this.#counted.delete(address);
      else counted.row = this.#rowOf(first);
      this.#write(counted);
    }
    for (const backend of backends) this.tell(backend);
  }

  /** Nothing is counted any more. */
  clear(): void {
    for (const { row } of this.#counted.values()) this.#inFlight.set(row, Field.Requests, 0);
    this.#counted.clear();
  }

  #write(counted: Counted): void {
    this.#inFlight.set(counted.row, Field.Requests, sumOf(counted));
  }

  #of(backend: BackendState): Counted {
    const { address } = backend;
    let counted = this.#counted.get(address);
    if (counted === undefined) {
      counted = { row: this.#rowOf(backend), states: [backend] };
      this.#counted.set(address, counted);
    } else if (!counted.states.includes(backend)) {
      counted.states = [...counted.states.filter(({ inFlight }) => inFlight > 0), backend];
    }
    return counted;
  }

  #rowOf({ service, address }: BackendState): number {
    return this.#inFlight.rowOf(`${service} ${address}`);
  }
}

function sumOf({ states }: Counted): number {
  let sum = 0;
  for (const { inFlight } of states) sum += inFlight;
  return sum;
}
