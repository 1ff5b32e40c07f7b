// google.protobuf.Duration and ms.

import type { Duration } from "../gen/google/protobuf/duration.ts";
import { invalidField } from "../model/errors.ts";

/** Rounded up to a whole ms; may be negative. Throws "invalid-argument" naming `field`. */
export function parseDurationMs({ seconds, nanos }: Duration, field: string): number {
  const mixed = (seconds > 0n && nanos < 0) || (seconds < 0n && nanos > 0);
  if (mixed || Math.abs(nanos) > 999_999_999) {
    throw invalidField(field, "is not a duration: seconds and nanos disagree");
  }
  return Number(seconds) * 1_000 + Math.ceil(nanos / 1_000_000);
}

/** The other way round; not of negative ones. */
export function renderDuration(ms: number): Duration {
  return { seconds: BigInt(Math.floor(ms / 1_000)), nanos: (ms % 1_000) * 1_000_000 };
}
