// How much of its rate each route, or each client of a route, has used: buckets in memory that all workers of a node
// share, so that a rate is the node's.
//
// A bucket is one word of 64 bits: who it belongs to (16 bits of a hash) and until when it is in debt (48 bits of
// time). The generic cell rate algorithm (ITU-T I.371, Annex A), a token bucket without a clock of its own, needs no
// more: each request adds its share of time to the debt, and is refused if that would pass the bucket's depth. So a
// claim is one compare-and-swap: nobody waits for anybody, and a worker that dies in the middle leaves nothing half
// done.
//
// A bucket lies in one of `placesPerSet` places that its hash names, one line of a processor's cache. Without debt it
// is as good as none: whoever needs a place takes that one. When all places are in debt to others, the request is let
// through uncounted: a flood from many addresses must not lock out those who are new.
//
// Two keys that share places and tag share their bucket: among n buckets in debt that is so for one new key in
// 2^30 / n, one in ten thousand when all are. Where a key lies is drawn by a seed, so that nobody can aim.

import { rateBucketsMax } from "../limits.ts";
import type { IpWords } from "../model/ip-address.ts";
import type { RateLimit } from "../model/route-options.ts";
import { mixed } from "./address-rows.ts";

export interface RateMemory {
  readonly bytes: SharedArrayBuffer;
  /** Nobody outside may know it. */
  readonly seed: number;
}

/** @param buckets A power of two. */
export function rateMemory(seed: number, buckets = rateBucketsMax): RateMemory {
  return { bytes: new SharedArrayBuffer(buckets * BigUint64Array.BYTES_PER_ELEMENT), seed };
}

const placesPerSet = 8;
/** Of time: fine enough for a million requests per second. */
const unitsPerMs = 8_000;
/** Time is counted modulo this, 407 days: in a process that old, a bucket left alone for 306 to 407 days may be taken for an empty one, once. */
const unitsRound = 2 ** 48;
const unitsMask = 0xffff_ffff_ffffn;
/** The deepest bucket, however large its burst: 101 days, a quarter of the round. */
const depthMax = 2 ** 46;
/** How long a worker may be stopped between reading the clock and here: to it, others come from the future. 100 ms. */
const lateMax = 100 * unitsPerMs;
/** Races lost in a row: each was won by another worker, so that nobody comes near this. */
const racesMax = 1_000;

/** What `take` answers, when it is not a time to wait. */
export const Taken = { Admitted: 0, Uncounted: -1 } as const;

/** Atomic access to 64-bit words; tests put other workers' steps in between. */
export interface Words {
  readonly length: number;
  load(at: number): bigint;
  /** Stores `next` if `expected` is there. */
  swap(at: number, expected: bigint, next: bigint): boolean;
}

/** The buckets as one worker sees and changes them. */
export class RateBuckets {
  readonly #words: Words;
  readonly #sets: number;
  readonly #seed: number;

  constructor({ bytes, seed }: RateMemory, words: Words = sharedWords(bytes)) {
    this.#words = words;
    this.#sets = words.length / placesPerSet;
    this.#seed = seed;
  }

  /**
   * Counts one request of `route`, and of a client (IPv6 by /64), if the rate has room for it. Answers a `Taken`, or
   * how many ms it is until there is room.
   *
   * @param words Of the client's address; empty: all clients share one bucket.
   * @param nowMs On a clock that all workers share.
   */
  take(route: string, words: IpWords, limit: RateLimit, nowMs: number): number {
    const hash = hashOf(route, words, this.#seed);
    const first = ((hash >>> 0) & (this.#sets - 1)) * placesPerSet;
    // Never 0: an empty place belongs to nobody.
    const tag = 1 + ((mixed(hash ^ this.#seed) >>> 0) % 0xffff);
    const now = Math.floor(nowMs * unitsPerMs) % unitsRound;
    for (let races = 0; races < racesMax; races++) {
      const at = this.#placeOf(tag, first, now);
      if (at < 0) return Taken.Uncounted;
      const word = this.#words.load(at);
      const taken = this.#claim(at, word, tag, limit, now);
      if (taken === undefined) continue;
      if (tagOf(word) === tag || !this.#gaveBack(at, tag, first)) return taken;
    }
    return Taken.Uncounted;
  }

  /** Where the bucket is, or else a place for it; -1: all are taken. */
  #placeOf(tag: number, first: number, now: number): number {
    let free = -1;
    for (let at = first; at < first + placesPerSet; at++) {
      const word = this.#words.load(at);
      if (tagOf(word) === tag) return at;
      if (free < 0 && debtAt(word, now) === 0) free = at;
    }
    return free;
  }

  /** Undefined: another worker was faster. */
  #claim(
    at: number,
    word: bigint,
    tag: number,
    { requests, perMs, burst }: RateLimit,
    now: number,
  ): number | undefined {
    const share = Math.max(1, Math.ceil((perMs * unitsPerMs) / requests));
    const depth = Math.max(share, Math.min(share * burst, depthMax));
    const debt = debtAt(word, now);
    // The place was free when it was chosen.
    if (tagOf(word) !== tag && debt > 0) return undefined;
    if (debt + share <= depth) {
      return this.#words.swap(at, word, wordOf(tag, now + debt + share))
        ? Taken.Admitted
        : undefined;
    }
    if (debt <= depth + lateMax) return (debt + share - depth) / unitsPerMs;
    // Out of a time when the limit was another: the bucket is empty, and fills as the limit says now.
    this.#words.swap(at, word, wordOf(tag, now + depth));
    return share / unitsPerMs;
  }

  /**
   * Two workers may begin the same bucket at the same moment, if a place becomes free between their looks: then the
   * later place is given back, and the request is counted in the earlier one.
   */
  #gaveBack(at: number, tag: number, first: number): boolean {
    for (let earlier = first; earlier < at; earlier++) {
      if (tagOf(this.#words.load(earlier)) !== tag) continue;
      const own = this.#words.load(at);
      return tagOf(own) === tag && this.#words.swap(at, own, 0n);
    }
    return false;
  }
}

/** How far its debt reaches, in units; 0: it has none, and what lies there says nothing. */
function debtAt(word: bigint, now: number): number {
  if (word === 0n) return 0;
  const ahead = (Number(word & unitsMask) - now + unitsRound) % unitsRound;
  // Beyond what any bucket can owe lies the past.
  return ahead > depthMax ? 0 : ahead;
}

function tagOf(word: bigint): number {
  return Number(word >> 48n);
}

function wordOf(tag: number, until: number): bigint {
  return (BigInt(tag) << 48n) | BigInt(until % unitsRound);
}

/** 32 bits of FNV-1a (Fowler, Noll, Vo) over the name, then the address, each bit mixed with each. */
function hashOf(route: string, words: IpWords, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let i = 0; i < route.length; i++) hash = Math.imul(hash ^ route.charCodeAt(i), 0x01000193);
  hash = mixed(hash ^ words.length);
  const counted = Math.min(words.length, 2);
  for (let i = 0; i < counted; i++) hash = mixed(hash ^ words[i]!);
  return hash;
}

function sharedWords(bytes: SharedArrayBuffer): Words {
  const words = new BigUint64Array(bytes);
  return {
    length: words.length,
    load: (at) => Atomics.load(words, at),
    swap: (at, expected, next) => Atomics.compareExchange(words, at, expected, next) === expected,
  };
}
