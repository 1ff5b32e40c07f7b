// Drawing backends at random, each as often as its weight says, with nothing allocated per draw.

import type { BackendState } from "./backend-state.ts";
import { isTried } from "./picker.ts";

/**
 * Draws from a fixed set of at least one backend. Costs two comparisons when all weigh the same,
 * else a binary search.
 */
export class WeightedDraw {
  readonly #backends: readonly BackendState[];
  /** Running sums of the weights; undefined when all weigh the same. */
  readonly #ends: Float64Array | undefined;

  constructor(backends: readonly BackendState[]) {
    this.#backends = backends;
    this.#ends = allWeighTheSame(backends) ? undefined : runningSums(backends);
  }

  /** A position among the backends. */
  draw(random: () => number): number {
    const ends = this.#ends;
    if (ends === undefined) return Math.floor(random() * this.#backends.length);
    return positionOf(ends, random() * ends[ends.length - 1]!);
  }

  /** Another position than `first`, by the weights of the others; needs two backends or more. */
  drawOther(random: () => number, first: number): number {
    const ends = this.#ends;
    if (ends === undefined) {
      const position = Math.floor(random() * (this.#backends.length - 1));
      return position < first ? position : position + 1;
    }
    // The line of weights with the piece of `first` cut out.
    const start = first === 0 ? 0 : ends[first - 1]!;
    const weight = ends[first]! - start;
    const point = random() * (ends[ends.length - 1]! - weight);
    return positionOf(ends, point < start ? point : point + weight);
  }
}

/**
 * Draws one that was not tried and is not `except`. O(backends): for the second and later tries of
 * a request, which are rare.
 */
export function drawUntried(
  backends: readonly BackendState[],
  random: () => number,
  tried: readonly BackendState[],
  triedCount: number,
  except: BackendState | undefined,
): BackendState | undefined {
  let total = 0;
  for (const backend of backends) {
    if (backend !== except && !isTried(backend, tried, triedCount)) total += backend.share;
  }
  let point = random() * total;
  let last: BackendState | undefined;
  for (const backend of backends) {
    if (backend === except || isTried(backend, tried, triedCount)) continue;
    last = backend;
    point -= backend.share;
    if (point < 0) break;
  }
  return last;
}

export function allWeighTheSame(backends: readonly BackendState[]): boolean {
  return backends.every((backend) => backend.share === backends[0]?.share);
}

function runningSums(backends: readonly BackendState[]): Float64Array {
  const ends = new Float64Array(backends.length);
  let end = 0;
  for (const [position, backend] of backends.entries()) ends[position] = end += backend.share;
  return ends;
}

/** The first position whose end is beyond `point`. */
function positionOf(ends: Float64Array, point: number): number {
  let low = 0;
  let high = ends.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ends[middle]! > point) high = middle;
    else low = middle + 1;
  }
  return low;
}
