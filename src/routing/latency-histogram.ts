// How long one backend took until its answers began, of the last minute or two: two windows, of which the older one is
// dropped when the newer one is full of time. 105 counts each, however many requests there are.

import { latencyBucketOf, latencyBuckets } from "../model/latency-buckets.ts";

/** One window's length, in ms: what is told is of the last one to two. */
const windowMs = 60_000;

export class LatencyHistogram {
  /** Both windows, one behind the other. */
  readonly #counts = new Uint32Array(2 * latencyBuckets);
  /** Where the newer window begins: 0 or latencyBuckets. */
  #newer = 0;
  #newerEndsMs: number;

  constructor(nowMs: number) {
    this.#newerEndsMs = nowMs + windowMs;
  }

  /** Hot path: allocates nothing. */
  observe(latencyMs: number, nowMs: number): void {
    if (nowMs >= this.#newerEndsMs) this.#turn(nowMs);
    this.#counts[this.#newer + latencyBucketOf(latencyMs)]! += 1;
  }

  /** By bucket, for latencyPercentileMs; undefined when there was nothing. */
  read(nowMs: number): Uint32Array<ArrayBuffer> | undefined {
    if (nowMs >= this.#newerEndsMs) this.#turn(nowMs);
    const sums = this.#counts.slice(0, latencyBuckets);
    let total = 0;
    for (let i = 0; i < latencyBuckets; i++) {
      total += sums[i]! += this.#counts[latencyBuckets + i]!;
    }
    return total === 0 ? undefined : sums;
  }

  /** The newer window becomes the older one; after a long silence both are old. */
  #turn(nowMs: number): void {
    if (nowMs >= this.#newerEndsMs + windowMs) {
      this.#counts.fill(0);
      this.#newerEndsMs = nowMs + windowMs;
      return;
    }
    this.#newer = latencyBuckets - this.#newer;
    this.#counts.fill(0, this.#newer, this.#newer + latencyBuckets);
    this.#newerEndsMs += windowMs;
  }
}
