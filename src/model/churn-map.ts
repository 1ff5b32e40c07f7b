// A Map for large tables whose keys come and go.
//
// V8's Map leaves a deleted entry in its bucket until it rehashes, and a big Map rehashes rarely: to
// put and delete one key over and over in a Map of 100,000 made each turn slower, up to 200 µs after
// 100,000 turns, and every lookup in that bucket too (Node 24.21). One flapping backend would do that.
//
// So a deleted key keeps its entry, without a value, until some number of keys is gone; a key that
// comes back meanwhile finds its old entry.

/** Gone keys that keep their entry, at most; never more than there are keys with a value. */
const goneKeysMax = 1024;

/** A ChurnMap for those who only look. */
export interface ReadonlyChurnMap<K, V> {
  readonly size: number;
  get(key: K): V | undefined;
  has(key: K): boolean;
  keys(): Generator<K, undefined>;
  values(): Generator<V, undefined>;
}

/** As Map, for values that are not undefined. Every operation takes constant time, amortised. */
export class ChurnMap<K, V extends object> implements ReadonlyChurnMap<K, V> {
  readonly #values = new Map<K, V | undefined>();
  /** Made when the first key goes: most maps of a domain's paths never lose one. */
  #gone: Set<K> | undefined = undefined;

  get size(): number {
    return this.#values.size - (this.#gone?.size ?? 0);
  }

  get(key: K): V | undefined {
    return this.#values.get(key);
  }

  has(key: K): boolean {
    return this.#values.get(key) !== undefined;
  }

  set(key: K, value: V): void {
    this.#gone?.delete(key);
    this.#values.set(key, value);
  }

  /** Harmless when it is not there. */
  delete(key: K): void {
    this.#values.set(key, undefined);
    this.#gone ??= new Set();
    this.#gone.add(key);
    if (this.#gone.size <= Math.min(goneKeysMax, this.size)) return;
    for (const gone of this.#gone) this.#values.delete(gone);
    this.#gone.clear();
  }

  *keys(): Generator<K, undefined> {
    for (const [key, value] of this.#values) if (value !== undefined) yield key;
    return undefined;
  }

  *values(): Generator<V, undefined> {
    for (const value of this.#values.values()) if (value !== undefined) yield value;
    return undefined;
  }
}
