// Policy "ring-hash": the same key, the same backend, on every worker and node; unless it is busy beyond its part.
//
// A Maglev table (maglev-table.ts) says whose a hash is. A backend that cannot be used now keeps its slots: a key of
// it goes on to a slot that its own hash leads to, as often as needed, and comes back when the backend does. So the
// keys of all others stay where they are, to the last one, and a flap of a check costs no new table. One is made when
// backends come or leave for good, or weights change; when those that are usable weigh less than half, they get a
// table of their own.
//
// Bounded load (Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2016): nobody gets more
// than 1.25 times its part, by weight, of what this worker has in flight; what is beyond goes on as above.
//
// Weights are those that were put: a slow start would move keys to and fro.

import type { BackendState } from "./backend-state.ts";
import { hashText, mixed } from "./key-hash.ts";
import { buildMaglev, type MaglevTable } from "./maglev-table.ts";
import { isTried, type Picker, type PickQuestion } from "./picker.ts";

/** What a backend may have in flight, as a multiple of its part of what is in flight to all: 1 + ε of "Consistent Hashing with Bounded Loads" (Mirrokni et al., 2016); HAProxy's documentation recommends 1.25 to 2. */
export const boundedLoadFactor = 1.25;
/** Slots that are looked at for a backend that is usable and has room; then all backends are. */
const ringProbesMax = 64;
/** Backends whose load is summed up for each pick, at most: of more the sum is taken every so many picks. */
const ringSumMax = 64;

/** A table, made when it is first asked; who is meant by its positions. */
interface Ring {
  readonly members: readonly BackendState[];
  readonly weights: readonly number[];
  slots: MaglevTable | undefined;
}

export class RingHashPicker implements Picker {
  readonly #ring: Ring;
  /** The members that may be chosen. */
  readonly #usable: readonly BackendState[];
  /** By position; undefined: all of them may. */
  readonly #left: Uint8Array | undefined;
  readonly #usableWeight: number;
  /** What was in flight to all when it was last summed up, with what was picked since. */
  #sum = 0;
  #summedMs = Number.NEGATIVE_INFINITY;
  #picksUntilSum = 0;

  /** @param backends All that stay, used or not. @param previous Its table is used on if it is of the same. */
  constructor(
    usable: readonly BackendState[],
    backends: readonly BackendState[] = usable,
    previous?: Picker,
  ) {
    const isMost = weightOf(usable) * 2 >= weightOf(backends);
    const before = previous instanceof RingHashPicker ? previous.#ring : undefined;
    this.#ring = ringOf(isMost ? backends : usable, before);
    this.#usable = usable;
    this.#usableWeight = weightOf(usable);
    const { members } = this.#ring;
    if (usable.length === members.length) return;
    const isUsed = new Set(usable);
    this.#left = Uint8Array.from(members, (member) => (isUsed.has(member) ? 0 : 1));
  }

  pick(question: PickQuestion): BackendState | undefined {
    const { nowMs } = question;
    const isStale = this.#isStale(nowMs);
    const inFlight = isStale ? this.#sumUp() : this.#sum;
    const chosen = this.#choose(question, inFlight);
    if (isStale) {
      this.#summedMs = nowMs;
      this.#picksUntilSum = Math.floor(this.#usable.length / ringSumMax);
    }
    this.#picksUntilSum--;
    this.#sum = inFlight + 1;
    return chosen;
  }

  peek(question: PickQuestion): BackendState | undefined {
    const { nowMs } = question;
    return this.#choose(
      { ...question, triedCount: 0 },
      this.#isStale(nowMs) ? this.#sumUp() : this.#sum,
    );
  }

  /** With many backends a sum serves some picks, within one ms. */
  #isStale(nowMs: number): boolean {
    return this.#picksUntilSum <= 0 || nowMs - this.#summedMs >= 1;
  }

  #sumUp(): number {
    const usable = this.#usable;
    let sum = 0;
    for (let i = 0; i < usable.length; i++) sum += usable[i]!.inFlight;
    return sum;
  }

  #choose({ hash, tried, triedCount }: PickQuestion, inFlight: number): BackendState | undefined {
    const { members } = this.#ring;
    const slots = (this.#ring.slots ??= tableOf(this.#ring));
    const left = this.#left;
    const room = boundedLoadFactor * (inFlight + 1);
    let place = hash;
    for (let i = 0; i < ringProbesMax; i++) {
      const position = slots[(place >>> 0) % slots.length]!;
      const backend = members[position]!;
      if (
        (left === undefined || left[position] === 0) &&
        this.#hasRoom(backend, room) &&
        (triedCount === 0 || !isTried(backend, tried, triedCount))
      ) {
        return backend;
      }
      place = mixed(place + goldenRatio);
    }
    return (
      this.#highest(hash, tried, triedCount, room) ??
      this.#highest(hash, tried, triedCount, Number.POSITIVE_INFINITY)
    );
  }

  /** @param room For all together: what is in flight with this request, times the factor. Without a rounded division. */
  #hasRoom({ inFlight, weight }: BackendState, room: number): boolean {
    return inFlight * this.#usableWeight < room * weight;
  }

  /** Of all that may be chosen the one that the hash likes most ("rendezvous"), each by its weight. O(backends). */
  #highest(
    hash: number,
    tried: readonly BackendState[],
    triedCount: number,
    room: number,
  ): BackendState | undefined {
    let best: BackendState | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const backend of this.#usable) {
      if (!this.#hasRoom(backend, room) || isTried(backend, tried, triedCount)) continue;
      const chance = ((mixed(hash ^ hashText(backend.address)) >>> 0) + 1) / 2 ** 32;
      const distance = -Math.log(chance) / backend.weight;
      if (distance >= least && best !== undefined) continue;
      best = backend;
      least = distance;
    }
    return best;
  }
}

const goldenRatio = 0x9e3779b9;

function weightOf(backends: readonly BackendState[]): number {
  let sum = 0;
  for (const { weight } of backends) sum += weight;
  return sum;
}

function ringOf(backends: readonly BackendState[], before: Ring | undefined): Ring {
  const members = backends.toSorted((a, b) => (a.address < b.address ? -1 : 1));
  const weights = members.map(({ weight }) => weight);
  if (before !== undefined && isSame(before, members, weights)) {
    return { members, weights, slots: before.slots };
  }
  return { members, weights, slots: undefined };
}

function isSame(
  before: Ring,
  members: readonly BackendState[],
  weights: readonly number[],
): boolean {
  return (
    before.members.length === members.length &&
    members.every(
      ({ address }, i) =>
        address === before.members[i]!.address && weights[i] === before.weights[i],
    )
  );
}

function tableOf({ members, weights }: Ring): MaglevTable {
  return buildMaglev(members.map(({ address }, i) => ({ name: address, weight: weights[i]! })));
}
