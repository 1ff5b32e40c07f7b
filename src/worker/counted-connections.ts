// Open connections to addresses where their number is limited, idle ones too, counted over all workers of the node.
//
// Knows: which addresses those are, since somebody asked to be let in there. Does not know services, nor what is waited for.

import { Field, type InFlight } from "../channel/in-flight.ts";
import type { Endpoint } from "../routing/backend-state.ts";

export class CountedConnections {
  readonly #inFlight: InFlight;
  readonly #rowOf = new Map<Endpoint, number>();
  #replaced: Endpoint | undefined;

  constructor(inFlight: InFlight) {
    this.#inFlight = inFlight;
  }

  /** Counts one more there, that is about to be dialled, unless there are `max`. */
  reserve(endpoint: Endpoint, max: number): boolean {
    let row = this.#rowOf.get(endpoint);
    if (row === undefined) {
      row = this.#inFlight.rowOf(endpoint.address);
      this.#rowOf.set(endpoint, row);
    }
    return this.#inFlight.claim(row, Field.Connections, endpoint.connections, max);
  }

  /** `change` closes one there and opens another: nobody gets in between. */
  replace(endpoint: Endpoint, change: () => void): void {
    this.#replaced = endpoint;
    try {
      change();
    } finally {
      this.#replaced = undefined;
      this.changed(endpoint);
    }
  }

  /** `endpoint.connections` is another than before. */
  changed(endpoint: Endpoint): void {
    if (this.#rowOf.size === 0 || endpoint === this.#replaced) return;
    const row = this.#rowOf.get(endpoint);
    if (row !== undefined) this.#inFlight.set(row, Field.Connections, endpoint.connections);
  }

  /** Rows have come or gone. */
  rowsChanged(): void {
    for (const [endpoint, before] of this.#rowOf) {
      const row = this.#inFlight.rowOf(endpoint.address);
      if (row === before) continue;
      this.#inFlight.set(before, Field.Connections, 0);
      // Nobody asks any more; whoever does comes back by `reserve`.
      this.#rowOf.delete(endpoint);
    }
  }
}
