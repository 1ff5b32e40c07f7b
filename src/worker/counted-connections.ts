// Open connections to addresses where their number is limited, idle ones too, counted over all workers of the node.
//
// Knows: which addresses those are, since somebody asked to be let in there. Does not know services, nor what is waited for.

import { Field, type InFlight } from "../channel/in-flight.ts";
import type { Endpoint } from "../routing/backend-state.ts";

interface Counted {
  row: number;
  /** Of this address: the one in use, and before it those that were forgotten with connections open. */
  endpoints: Endpoint[];
}

export class CountedConnections {
  readonly #inFlight: InFlight;
  readonly #counted = new Map<string, Counted>();
  #replaced: Endpoint | undefined;

  constructor(inFlight: InFlight) {
    this.#inFlight = inFlight;
  }

  /** Counts one more there, that is about to be dialled, unless there are `max`. */
  reserve(endpoint: Endpoint, max: number): boolean {
    const { address } = endpoint;
    let counted = this.#counted.get(address);
    if (counted === undefined) {
      counted = { row: this.#inFlight.rowOf(address), endpoints: [endpoint] };
      this.#counted.set(address, counted);
    } else if (!counted.endpoints.includes(endpoint)) {
      counted.endpoints = [...counted.endpoints.filter(isOpen), endpoint];
    }
    return this.#inFlight.claim(counted.row, Field.Connections, sumOf(counted), max);
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
    if (this.#counted.size === 0 || endpoint === this.#replaced) return;
    const counted = this.#counted.get(endpoint.address);
    if (counted !== undefined) {
      this.#inFlight.set(counted.row, Field.Connections, sumOf(counted));
    }
  }

  /** Rows have come or gone. */
  rowsChanged(): void {
    for (const [address, { row: before }] of this.#counted) {
      const row = this.#inFlight.rowOf(address);
      if (row === before) continue;
      this.#inFlight.set(before, Field.Connections, 0);
      // Nobody asks any more; whoever does comes back by `reserve`.
      this.#counted.delete(address);
    }
  }
}

function isOpen({ connections }: Endpoint): boolean {
  return connections > 0;
}

function sumOf({ endpoints }: Counted): number {
  let sum = 0;
  for (const { connections } of endpoints) sum += connections;
  return sum;
}
