// Policy "least-loaded", the default: the less busy of two drawn at random.
//
// Two choices on requests in flight, as the flynn router did it (Mitzenmacher, "The Power of Two
// Choices in Randomized Load Balancing", 2001). Each worker only knows its own requests; picking the
// very least busy would send all workers to the same backend at once, two random choices do not.
//
// Weights come in twice: both are drawn by weight, and load is requests in flight per weight. Ties go
// to the first drawn, so an idle service spreads exactly by weight. The two always differ: of two
// backends, the one that is stuck gets nothing.

import type { BackendState } from "./backend-state.ts";
import type { Picker, PickQuestion } from "./picker.ts";
import { drawUntried, WeightedDraw } from "./weighted-draw.ts";

export class LeastLoadedPicker implements Picker {
  readonly #backends: readonly BackendState[];
  /** undefined: there is nothing to draw, as with most services. */
  readonly #weights: WeightedDraw | undefined;

  constructor(backends: readonly BackendState[]) {
    this.#backends = backends;
    this.#weights = backends.length === 1 ? undefined : new WeightedDraw(backends);
  }

  pick(question: PickQuestion): BackendState | undefined {
    const { random, tried, triedCount } = question;
    if (triedCount === 0) return this.peek(question);
    const first = drawUntried(this.#backends, random, tried, triedCount, undefined);
    if (first === undefined) return undefined;
    return lessLoaded(first, drawUntried(this.#backends, random, tried, triedCount, first));
  }

  peek({ random }: PickQuestion): BackendState | undefined {
    const backends = this.#backends;
    const weights = this.#weights;
    if (weights === undefined) return backends[0];
    const first = weights.draw(random);
    return lessLoaded(backends[first]!, backends[weights.drawOther(random, first)]);
  }
}

function lessLoaded(first: BackendState, second: BackendState | undefined): BackendState {
  if (second === undefined) return first;
  // a/w <= b/v without a division
  const firstLoad = first.endpoint.inFlight * second.share;
  const secondLoad = second.endpoint.inFlight * first.share;
  return firstLoad <= secondLoad ? first : second;
}
