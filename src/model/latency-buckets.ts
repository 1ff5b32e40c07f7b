// How latencies are counted: in buckets that are the wider the longer they are, so that whatever is said of them is
// within a tenth of the truth. Five to each doubling: the borders are 1, 1.125, 1.25, 1.5 and 1.75 times a power of
// two, which the bits of a float tell without a logarithm.
//
// From 31 µs, below which nothing is told apart, to 65 s, above which neither. Counts of several add up.

const octaves = 21;
/** Powers of two, in ms, at which the first bucket begins and the last ends. */
const firstExponent = -5;
const bucketsPerOctave = 5;

/** Buckets of one histogram. */
export const latencyBuckets = octaves * bucketsPerOctave;

/** By the first three bits behind a float's leading one. */
const stepOfEighth = new Uint8Array([0, 1, 2, 2, 3, 3, 4, 4]);
const stepStarts = [1, 1.125, 1.25, 1.5, 1.75, 2] as const;

const floatExponentBias = 127;
const float = new Float32Array(1);
const bits = new Int32Array(float.buffer);

/** Which bucket a latency is counted in. Hot path: allocates nothing. */
export function latencyBucketOf(latencyMs: number): number {
  float[0] = latencyMs;
  const all = bits[0]!;
  const octave = (all >> 23) - floatExponentBias - firstExponent;
  if (octave < 0) return 0;
  if (octave >= octaves) return latencyBuckets - 1;
  return octave * bucketsPerOctave + stepOfEighth[(all >> 20) & 7]!;
}

/**
 * The latency that `share` of those counted do not exceed, in ms: of its bucket the value that is at most a tenth off
 * from every other. 0 when nothing was counted.
 *
 * @param counts By bucket; several histograms are added up first.
 * @param share 0.5 is the median.
 */
export function latencyPercentileMs(counts: ArrayLike<number>, share: number): number {
  let total = 0;
  for (let i = 0; i < counts.length; i++) total += counts[i]!;
  if (total === 0) return 0;
  let left = Math.max(1, Math.ceil(total * share));
  for (let i = 0; i < counts.length; i++) {
    left -= counts[i]!;
    if (left <= 0) return latencyOfBucketMs(i);
  }
  return latencyOfBucketMs(latencyBuckets - 1);
}

/** What stands for a bucket: the harmonic mean of its borders, so that it is as much off from the one as from the other. */
export function latencyOfBucketMs(bucket: number): number {
  const step = bucket % bucketsPerOctave;
  const power = 2 ** (firstExponent + Math.floor(bucket / bucketsPerOctave));
  const [low, high] = [stepStarts[step]!, stepStarts[step + 1]!];
  return (power * (2 * low * high)) / (low + high);
}
