// Policy "leader": the oldest backend alone, of services of which one instance works and the others stand by.
//
// The one that joined first; of those that joined together, or of which that is not known, the one whose address
// comes first. Every worker and node knows both, so all agree. Weights, zones and slow starts mean nothing here.

import type { BackendState } from "./backend-state.ts";
import { isTried, type Picker, type PickQuestion } from "./picker.ts";

export class LeaderPicker implements Picker {
  /** The oldest first. */
  readonly #backends: readonly BackendState[];

  constructor(backends: readonly BackendState[]) {
    this.#backends = backends.toSorted(compareAge);
  }

  pick({ tried, triedCount }: PickQuestion): BackendState | undefined {
    for (const backend of this.#backends) {
      if (!isTried(backend, tried, triedCount)) return backend;
    }
    return undefined;
  }

  peek(): BackendState | undefined {
    return this.#backends[0];
  }
}

function compareAge(a: BackendState, b: BackendState): number {
  if (a.joined !== b.joined) return a.joined - b.joined;
  return a.address < b.address ? -1 : 1;
}
