// Numbers within their bounds, and the words for those that are not.

import { invalidField } from "./errors.ts";

/** Both ends included. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** A whole number of `range`; throws "invalid-argument" naming `field`. */
export function countWithin(count: number, { min, max }: Range, field: string): number {
  if (Number.isInteger(count) && count >= min && count <= max) return count;
  throw invalidField(field, `${count} is not within ${min} to ${max}`);
}

/** As `countWithin`; 0 was left out. */
export function askedCount(count: number, range: Range, field: string): number | undefined {
  return count === 0 ? undefined : countWithin(count, range, field);
}

/** Whole ms of `range`; throws "invalid-argument" naming `field`. */
export function msWithin(ms: number, { min, max }: Range, field: string): number {
  if (Number.isInteger(ms) && ms >= min && ms <= max) return ms;
  throw invalidField(field, `${msText(ms)} is not within ${msText(min)} to ${msText(max)}`);
}

/** As `msWithin`; undefined was left out. */
export function askedMs(ms: number | undefined, range: Range, field: string): number | undefined {
  return ms === undefined ? undefined : msWithin(ms, range, field);
}

const units = [
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
] as const;

/** "1 h", "10 min", "90 s", "100 ms": in the largest unit that it fills. */
export function msText(ms: number): string {
  const unit = units.find(([size]) => ms >= size && ms % size === 0);
  return unit === undefined ? `${ms} ms` : `${ms / unit[0]} ${unit[1]}`;
}
