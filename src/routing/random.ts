// Policy "random": each backend as often as its weight says, whatever it is doing.

import type { BackendState } from "./backend-state.ts";
import type { Picker, PickQuestion } from "./picker.ts";
import { drawUntried, WeightedDraw } from "./weighted-draw.ts";

export class RandomPicker implements Picker {
  readonly #backends: readonly BackendState[];
  readonly #weights: WeightedDraw;

  constructor(backends: readonly BackendState[]) {
    this.#backends = backends;
    this.#weights = new WeightedDraw(backends);
  }

  pick(question: PickQuestion): BackendState | undefined {
    const { random, tried, triedCount } = question;
    if (triedCount === 0) return this.peek(question);
    return drawUntried(this.#backends, random, tried, triedCount, undefined);
  }

  peek({ random }: PickQuestion): BackendState | undefined {
    return this.#backends[this.#weights.draw(random)];
  }
}
