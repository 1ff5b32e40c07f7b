// The keys of one source and the backends that they add up to.
//
// Pure, and patched key by key: a change costs what it names, whatever the size of the set. A key that
// cannot be read any more keeps its last good value.

import { type Key, type KeyValue, shownKey } from "../etcd/etcd.ts";
import type { FollowedBatch } from "../etcd/followed.ts";
import { type BackendKey, backendKeyOf, sameStoredBackend } from "../model/backend.ts";
import { ChurnMap } from "../model/churn-map.ts";
import { RouterError } from "../model/errors.ts";
import type { DiscoveredBackend, UnreadableEntry } from "./discovery.ts";
import type { Found, KeyForm } from "./reading.ts";

export interface KeySetOptions {
  /** "etcd", "discoverd": before the key in a backend's source. */
  readonly kind: string;
  /** With a slash at its end. */
  readonly prefix: Key;
  readonly form: KeyForm;
}

/** What a batch did. */
export interface KeySetChange {
  /** Some backend came, went or changed. */
  readonly changed: boolean;
  /** Keys of the batch that cannot be read. */
  readonly unreadable: ReadonlySet<Key>;
  /** Those of them that could before, or for another reason. */
  readonly news: readonly UnreadableEntry[];
}

export class KeySet {
  readonly #options: KeySetOptions;
  /** By key: the last good value. */
  readonly #found = new ChurnMap<Key, Found>();
  /** By key: why not. */
  readonly #reasons = new Map<Key, string>();
  /** By instance: its keys that were read, at most one of each form. */
  readonly #instances = new ChurnMap<string, readonly Key[]>();
  /** By backend: the keys that name it and count for their instance. */
  readonly #holders = new ChurnMap<BackendKey, Set<Key>>();
  readonly #backends = new ChurnMap<BackendKey, DiscoveredBackend>();

  constructor(options: KeySetOptions) {
    this.#options = options;
  }

  /** Every address at most once per service. */
  get backends(): readonly DiscoveredBackend[] {
    return [...this.#backends.values()];
  }

  get size(): number {
    return this.#backends.size;
  }

  get unreadable(): readonly UnreadableEntry[] {
    return [...this.#reasons].map(([key, reason]) => ({ key: shownKey(key), reason }));
  }

  /** Whether a key can name a backend at all. */
  concerns(key: Key): boolean {
    const { prefix, form } = this.#options;
    return form.concerns(key.slice(prefix.length));
  }

  apply({ puts, deletes }: FollowedBatch): KeySetChange {
    const touched = new Set<BackendKey>();
    const unreadable = new Set<Key>();
    const news: UnreadableEntry[] = [];
    for (const key of deletes) {
      this.#reasons.delete(key);
      this.#replace(key, undefined, touched);
    }
    for (const value of puts) {
      const reason = this.#put(value, touched);
      if (reason === undefined) continue;
      unreadable.add(value.key);
      if (this.#reasons.get(value.key) === reason) continue;
      this.#reasons.set(value.key, reason);
      news.push({ key: shownKey(value.key), reason });
    }
    let changed = false;
    for (const key of touched) if (this.#settle(key)) changed = true;
    return { changed, unreadable, news };
  }

  /** Why it cannot be read; undefined: it can, or is somebody else's. */
  #put(value: KeyValue, touched: Set<BackendKey>): string | undefined {
    const { prefix, form } = this.#options;
    const rest = value.key.slice(prefix.length);
    if (!form.concerns(rest)) return undefined;
    try {
      const found = form.read(rest, value);
      this.#reasons.delete(value.key);
      this.#replace(value.key, found, touched);
      return undefined;
    } catch (error) {
      return RouterError.from(error).message;
    }
  }

  /** Puts `found` (undefined: nothing) in the place of what the key said before. */
  #replace(key: Key, found: Found | undefined, touched: Set<BackendKey>): void {
    const before = this.#found.get(key);
    if (before !== undefined) {
      this.#count(before.instance, touched, false);
      this.#found.delete(key);
      const others = this.#keysOf(before.instance).filter((other) => other !== key);
      if (others.length === 0) this.#instances.delete(before.instance);
      else this.#instances.set(before.instance, others);
      this.#count(before.instance, touched, true);
    }
    if (found === undefined) return;
    this.#count(found.instance, touched, false);
    this.#found.set(key, found);
    this.#instances.set(found.instance, [...this.#keysOf(found.instance), key]);
    this.#count(found.instance, touched, true);
  }

  #keysOf(instance: string): readonly Key[] {
    return this.#instances.get(instance) ?? [];
  }

  /** Adds the one key that counts for `instance` to the holders of its backend, or takes it away. */
  #count(instance: string, touched: Set<BackendKey>, adds: boolean): void {
    const keys = this.#keysOf(instance);
    const key = keys.find((one) => this.#found.get(one)?.preferred === true) ?? keys[0];
    const found = key === undefined ? undefined : this.#found.get(key);
    if (key === undefined || found === undefined) return;
    const backend = backendKeyOf(found.backend);
    const holders = this.#holders.get(backend) ?? new Set();
    if (adds) holders.add(key);
    else holders.delete(key);
    if (holders.size === 0) this.#holders.delete(backend);
    else this.#holders.set(backend, holders);
    touched.add(backend);
  }

  /** Makes a backend what the smallest of its keys says; whether that changed anything. */
  #settle(backend: BackendKey): boolean {
    const smallest = least(this.#holders.get(backend) ?? []);
    const found = smallest === undefined ? undefined : this.#found.get(smallest);
    const before = this.#backends.get(backend);
    if (smallest === undefined || found === undefined) {
      if (before !== undefined) this.#backends.delete(backend);
      return before !== undefined;
    }
    const source = `${this.#options.kind}:${shownKey(smallest)}`;
    if (before?.source === source && sameStoredBackend(before.backend, found.backend)) return false;
    this.#backends.set(backend, { backend: found.backend, source });
    return true;
  }
}

function least(keys: Iterable<Key>): Key | undefined {
  let smallest: Key | undefined;
  for (const key of keys) if (smallest === undefined || key < smallest) smallest = key;
  return smallest;
}
