// Policy "peak-ewma": of two drawn at random the one that is expected to answer sooner.
//
// Two choices as "least-loaded" (there is why), compared by latency times what would be in flight with this request,
// as Finagle's and Linkerd's peak EWMA. Both are drawn by weight, and load counts per weight.
//
// A backend that was never measured is taken to be as fast as the one it is compared with: load alone decides then.
// So it gets its share at once, no more than that, and nobody waits for its first answer.

import type { BackendState } from "./backend-state.ts";
import { LatencyAverage } from "./latency-average.ts";
import type { Picker, PickQuestion } from "./picker.ts";
import { drawUntried, WeightedDraw } from "./weighted-draw.ts";

export class PeakEwmaPicker implements Picker {
  readonly #backends: readonly BackendState[];
  /** undefined: there is nothing to draw. */
  readonly #weights: WeightedDraw | undefined;
  /** Of all; load is told per that. */
  readonly #meanShare: number;

  constructor(backends: readonly BackendState[]) {
    this.#backends = backends;
    this.#weights = backends.length === 1 ? undefined : new WeightedDraw(backends);
    this.#meanShare = backends.reduce((sum, { share }) => sum + share, 0) / backends.length;
    for (const backend of backends) backend.latency ??= new LatencyAverage();
  }

  pick(question: PickQuestion): BackendState | undefined {
    const { random, nowMs, tried, triedCount } = question;
    if (triedCount === 0) return this.peek(question);
    const first = drawUntried(this.#backends, random, tried, triedCount, undefined);
    if (first === undefined) return undefined;
    const second = drawUntried(this.#backends, random, tried, triedCount, first);
    return second === undefined ? first : this.#sooner(first, second, nowMs);
  }

  peek({ random, nowMs }: PickQuestion): BackendState | undefined {
    const backends = this.#backends;
    const weights = this.#weights;
    if (weights === undefined) return backends[0];
    const first = weights.draw(random);
    return this.#sooner(backends[first]!, backends[weights.drawOther(random, first)]!, nowMs);
  }

  /** Ties go to the first drawn, so that what is idle and unmeasured spreads exactly by weight. */
  #sooner(first: BackendState, second: BackendState, nowMs: number): BackendState {
    const firstLoad = this.#loadWith(first);
    const secondLoad = this.#loadWith(second);
    const a = first.latency;
    const b = second.latency;
    if (a?.isKnown !== true || b?.isKnown !== true) return firstLoad <= secondLoad ? first : second;
    const firstMs = a.read(nowMs, first.endpoint.inFlight === 0);
    const secondMs = b.read(nowMs, second.endpoint.inFlight === 0);
    return firstMs * firstLoad <= secondMs * secondLoad ? first : second;
  }

  /** With this request; of a backend of mean weight it is the number in flight. */
  #loadWith({ endpoint, share }: BackendState): number {
    return (endpoint.inFlight * this.#meanShare) / share + 1;
  }
}
