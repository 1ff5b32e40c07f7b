// Ways to cut a message into pieces. Ends of pieces, ascending; the last is the message's own end.

import type { SeededRandom } from "./seeded-random.ts";

/** Up to this many octets every place is cut; longer messages are cut at as many places, drawn by lot. */
export const everyCutOctetsMax = 4096;

export function byteByByte(length: number): number[] {
  return Array.from({ length }, (_, index) => index + 1);
}

/** One cut at every place; of a long message at its ends, and at places drawn by lot. */
export function* singleCuts(length: number, random: SeededRandom): Generator<number[]> {
  for (let cut = 1; cut < Math.min(length, everyCutOctetsMax); cut++) {
    const place = length <= everyCutOctetsMax || cut < 512 ? cut : 1 + random.below(length - 1);
    yield [place, length];
  }
}

/** Few large pieces, many small ones, or a run of single octets somewhere: each kind as often. */
export function randomPartition(length: number, random: SeededRandom): number[] {
  if (length < 2) return [length];
  const ends = new Set([length]);
  const kind = random.below(3);
  if (kind === 0) for (let n = 1 + random.below(4); n > 0; n--) ends.add(1 + random.below(length));
  else if (kind === 1) {
    const most = 1 + random.below(32);
    for (let at = 0; at < length; ) ends.add(Math.min(length, (at += 1 + random.below(most))));
  } else {
    const from = random.below(length);
    for (let at = from; at < Math.min(length, from + 24); at++) ends.add(at + 1);
  }
  return [...ends].toSorted((a, b) => a - b);
}
