// Backends of the node's own zone first, the others for what the zone cannot bear.
//
// While enough of the zone's weight is usable all stays there; below that the zone keeps the part that it can bear
// and the rest goes out, so that those who are left are not overrun (Envoy's zone-aware routing does the same with
// its panic threshold). Who has tried all of one side goes to the other.

import type { BackendState } from "./backend-state.ts";
import { mixed } from "./key-hash.ts";
import type { Picker, PickQuestion } from "./picker.ts";

export interface ZoneParts {
  /** Of the zone, usable. */
  readonly own: readonly BackendState[];
  readonly others: readonly BackendState[];
  /** What stays in the zone, 0 to 1. */
  readonly stays: number;
}

/**
 * Undefined: zones make no difference. By the weights that were put: what is cold bears its part of the zone all the same.
 *
 * @param staying All that do not leave.
 * @param usablePercentMin Of the zone's weight, which must be usable for all to stay there.
 */
export function zonePartsOf(
  staying: readonly BackendState[],
  usable: readonly BackendState[],
  zone: string,
  usablePercentMin: number,
): ZoneParts | undefined {
  if (zone === "") return undefined;
  const own = usable.filter(({ standing }) => standing.zone === zone);
  const others = usable.filter(({ standing }) => standing.zone !== zone);
  if (own.length === 0 || others.length === 0) return undefined;
  const required = (weightIn(staying, zone) * usablePercentMin) / 100;
  return { own, others, stays: Math.min(1, weightIn(own, zone) / required) };
}

function weightIn(backends: readonly BackendState[], zone: string): number {
  let sum = 0;
  for (const { standing, weight } of backends) if (standing.zone === zone) sum += weight;
  return sum;
}

export class ZonedPicker implements Picker {
  readonly own: Picker;
  readonly others: Picker;
  readonly #stays: number;
  readonly #byHash: boolean;

  /** @param byHash The same hash stays, or goes out, always. */
  constructor(own: Picker, others: Picker, stays: number, byHash: boolean) {
    this.own = own;
    this.others = others;
    this.#stays = stays;
    this.#byHash = byHash;
  }

  pick(question: PickQuestion): BackendState | undefined {
    return this.#isStaying(question)
      ? (this.own.pick(question) ?? this.others.pick(question))
      : (this.others.pick(question) ?? this.own.pick(question));
  }

  peek(question: PickQuestion): BackendState | undefined {
    return (this.#isStaying(question) ? this.own : this.others).peek(question);
  }

  #isStaying({ random, hash }: PickQuestion): boolean {
    if (this.#stays >= 1) return true;
    // Mixed once more: within the zone the hash itself decides.
    return (this.#byHash ? (mixed(hash ^ outward) >>> 0) / 2 ** 32 : random()) < this.#stays;
  }
}

/** Any number. */
const outward = 0x2545f491;
