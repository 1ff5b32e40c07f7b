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
    const { random, tried, triedCount } = question;
    if (triedCount === 0) return this.peek(question);
    const first = drawUntried(this.#backends, random, tried, triedCount, undefined);
    if (first === undefined) return undefined;
    const second = drawUntried(this.#backends, random, tried, triedCount, first);
    return second === undefined || this.#isFirstSooner(first, second, question) ? first : second;
  }

  peek(question: PickQuestion): BackendState | undefined {
    const backends = this.#backends;
    const weights = this.#weights;
    if (weights === undefined) return backends[0];
    const position = weights.draw(question.random);
    const first = backends[position]!;
    const second = backends[weights.drawOther(question.random, position)]!;
    return this.#isFirstSooner(first, second, question) ? first : second;
  }

  /** Ties go to the first drawn, so that what is idle and unmeasured spreads exactly by weight. */
  #isFirstSooner(first: BackendState, second: BackendState, question: PickQuestion): boolean {
    const mean = this.#meanShare;
    const inFirst = first.endpoint.inFlight;
    const inSecond = second.endpoint.inFlight;
    // With this request; of a backend of mean weight it is the number in flight.
    const firstLoad = (inFirst * mean) / first.share + 1;
    const secondLoad = (inSecond * mean) / second.share + 1;
    const a = first.latency;
    const b = second.latency;
    if (a?.isKnown !== true || b?.isKnown !== true) return firstLoad <= secondLoad;
    const { nowMs } = question;
    return a.read(nowMs, inFirst === 0) * firstLoad <= b.read(nowMs, inSecond === 0) * secondLoad;
  }
}
