// What a list says beside what is followed: what came, changed and went, and whether both can be one past.
//
// The comparison rides on the pages of the list, then on pieces of the entries, so that no turn of the event
// loop takes long. The entries must not change meanwhile: no watch runs while a list does.

import { etcdKeysPerTurn } from "../limits.ts";
import type { System } from "../system.ts";
import type { Key, KeyValue } from "./etcd.ts";
import type { ListReader } from "./listing.ts";

/** Which keys matter for what. */
export interface KeySense {
  /** Whose revisions make the revision of the whole. */
  counts(key: Key): boolean;
  /** What serves: its removal or change needs proof. */
  serves(key: Key): boolean;
}

export class Difference implements ListReader {
  /** All that was listed. */
  listed = new Map<Key, KeyValue>();
  puts: KeyValue[] = [];
  deletes: Key[] = [];
  /** Keys that serve: what taking the list would do to them. */
  removed = 0;
  changed = 0;
  added = 0;
  /** Keys that serve: how many the list has, and how many are followed. */
  listedServing = 0;
  servingBefore = 0;
  /** The newest mod revision of a listed key that counts; 0: none. */
  revision = 0;
  /** A key that says that both cannot have one past. */
  contradiction: Key | undefined;
  /** Of what is followed, the one that was written last: a witness of its past. */
  newestBefore: KeyValue | undefined;
  readonly #before: ReadonlyMap<Key, KeyValue>;
  readonly #sense: KeySense;

  constructor(before: ReadonlyMap<Key, KeyValue>, sense: KeySense) {
    this.#before = before;
    this.#sense = sense;
  }

  begin(): void {
    this.listed = new Map();
    this.puts = [];
    this.changed = 0;
    this.added = 0;
    this.listedServing = 0;
    this.revision = 0;
    this.contradiction = undefined;
  }

  see(kv: KeyValue): void {
    const { key } = kv;
    this.listed.set(key, kv);
    if (this.#sense.counts(key)) this.revision = Math.max(this.revision, kv.modRevision);
    const serves = this.#sense.serves(key);
    if (serves) this.listedServing++;
    const had = this.#before.get(key);
    if (had !== undefined && sameVersion(had, kv)) return;
    this.puts.push(kv);
    if (had === undefined) {
      if (serves) this.added++;
      return;
    }
    if (serves && !sameValue(had, kv)) this.changed++;
    if (contradicts(had, kv)) this.contradiction ??= key;
  }

  /** After the list: finds what is gone. */
  async finish(system: System): Promise<void> {
    let left = etcdKeysPerTurn;
    for (const kv of this.#before.values()) {
      this.#account(kv);
      if (--left > 0) continue;
      left = etcdKeysPerTurn;
      await new Promise<void>((resolve) => system.atTurnEnd(resolve));
    }
  }

  /** As if nothing were followed: everything listed is new. */
  forgetBefore(): void {
    this.puts = [...this.listed.values()];
    this.deletes = [];
  }

  #account(kv: KeyValue): void {
    if (kv.modRevision > (this.newestBefore?.modRevision ?? 0)) this.newestBefore = kv;
    const serves = this.#sense.serves(kv.key);
    if (serves) this.servingBefore++;
    if (this.listed.has(kv.key)) return;
    this.deletes.push(kv.key);
    if (serves) this.removed++;
  }
}

/** The value of one key did not change, whoever wrote it. */
export function sameValue(one: KeyValue, other: KeyValue): boolean {
  return one.bytes === other.bytes && one.text === other.text;
}

function sameVersion(one: KeyValue, other: KeyValue): boolean {
  return (
    one.modRevision === other.modRevision &&
    one.createRevision === other.createRevision &&
    one.lease === other.lease &&
    sameValue(one, other)
  );
}

/**
 * Nothing that happened after `had` can have led to `now`: a key was written later than it was, differs at
 * the same revision, or was created again before it was last written. A lost event explains none of these.
 */
export function contradicts(had: KeyValue, now: KeyValue): boolean {
  if (now.modRevision < had.modRevision) return true;
  if (now.modRevision === had.modRevision && !sameValue(had, now)) return true;
  return now.createRevision !== had.createRevision && now.createRevision <= had.modRevision;
}
