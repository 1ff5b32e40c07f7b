// The key PREFIX/sealing-key in etcd: put by the first node that finds none, followed by all.
//
// Knows: one key and its value. Does not know: who seals with it, or what is on disk (control/sealing-keys.ts).
//
// Whoever puts it compares that there is none, so of nodes that start at once one wins, and the others find its key in
// the answer. It is put only while the store is followed and believed: of a store that is held nothing is known.

import type { Etcd, Key, KeyValue } from "../etcd/etcd.ts";
import type { FollowedLog } from "../etcd/followed.ts";
import { nodeRetryMsMax, nodeRetryMsMin } from "../limits.ts";
import { invalidField, RouterError } from "../model/errors.ts";
import type { System } from "../system.ts";
import {
  decodeSealingKey,
  encodeSealingKey,
  isSameKey,
  type SealingKey,
  sealingKeyBytes,
} from "./sealing-key.ts";
import type { SharedSealingKey } from "./shared-sealing-key.ts";

export interface EtcdSealingKeyOptions {
  readonly etcd: Etcd;
  readonly key: Key;
  readonly system: System;
  readonly log: FollowedLog;
  /** What etcd holds is followed and believed. */
  readonly isCurrent: () => boolean;
}

export class EtcdSealingKey implements SharedSealingKey {
  current: SealingKey | undefined;
  readonly #options: EtcdSealingKeyOptions;
  readonly #listeners = new Set<(key: SealingKey) => void>();
  /** Something is there, whether it can be read or not, as far as the watch has told. */
  #isThere = false;
  #offered: SealingKey | undefined;
  /** A try that is under way. */
  #trying: Promise<void> | undefined;
  /** Ends the pause before the next try; undefined: there is none. */
  #cancelPause: (() => void) | undefined;
  #pauseMs = nodeRetryMsMin;
  #closed = false;

  constructor(options: EtcdSealingKeyOptions) {
    this.#options = options;
  }

  subscribe(listener: (key: SealingKey) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async offer(key: SealingKey): Promise<void> {
    this.#offered = key;
    this.look();
    await this.#trying;
  }

  /** What changed under the prefix; other keys are passed over. */
  observe(puts: readonly KeyValue[], deletes: readonly Key[]): void {
    const { key } = this.#options;
    if (deletes.includes(key)) this.#isThere = false;
    const kv = puts.find((one) => one.key === key);
    if (kv !== undefined) {
      this.#isThere = true;
      this.#take(kv.text);
    }
    this.look();
  }

  /** Puts a key if that is due: to be called when what was followed, or the store's condition, changed. */
  look(): void {
    const { isCurrent } = this.#options;
    const key = this.current ?? this.#offered;
    if (key === undefined || this.#offered === undefined || this.#isThere || this.#closed) return;
    if (this.#trying !== undefined || this.#cancelPause !== undefined || !isCurrent()) return;
    this.#trying = this.#put(key);
  }

  close(): void {
    this.#closed = true;
    this.#cancelPause?.();
  }

  async #put(value: SealingKey): Promise<void> {
    const { etcd, key, log } = this.#options;
    try {
      const answer = await etcd.transact({
        compare: [{ key, target: "create", revision: 0 }],
        success: [{ kind: "put", key, value: encodeSealingKey(value) }],
        failure: [{ kind: "range", key }],
      });
      this.#pauseMs = nodeRetryMsMin;
      // The watch tells as well, and knows better if it was quicker. Until it does, the next change there asks again.
      const found = answer.ranges[0]?.kvs[0]?.text;
      if (!this.#isThere) this.#take(answer.succeeded ? encodeSealingKey(value) : found);
    } catch (error) {
      const cause = RouterError.from(error).message;
      if (this.#pauseMs === nodeRetryMsMin) {
        log.warn("the sealing key is not in the store yet; it is tried again", { cause });
      }
      this.#tryLater();
    } finally {
      this.#trying = undefined;
    }
  }

  #tryLater(): void {
    if (this.#closed) return;
    this.#cancelPause = this.#options.system.after(this.#pauseMs, () => {
      this.#cancelPause = undefined;
      this.look();
    });
    this.#pauseMs = Math.min(this.#pauseMs * 2, nodeRetryMsMax);
  }

  /** What cannot be read is set aside (etcd-mirror): the key of before serves on. */
  #take(text: string | undefined): void {
    const key = decodeSealingKey(text ?? "");
    if (key === undefined || this.#closed || isSameKey(key, this.current)) return;
    this.current = key;
    for (const listener of this.#listeners) listener(key);
  }
}

/** Throws "invalid-argument"; the message does not show what is there. */
export function checkSealingKey(text: string): void {
  if (decodeSealingKey(text) !== undefined) return;
  throw invalidField(
    "the value",
    `is no sealing key: ${sealingKeyBytes} bytes as base64 (44 characters) or hexadecimal (64)`,
  );
}
