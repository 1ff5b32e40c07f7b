// Which keys this node seals and opens sticky cookies with, from its start to its end.
//
// Of three the first that there is: an operator's file (--sealing-key), which nothing replaces; the one that the nodes
// of a store share; the one in the state directory. What the store says is kept in the state directory as well, so
// that a node that starts while the store is away seals as it did.
//
// Knows: the order, and when it changes. Does not know: how a store keeps its key, what is sealed.

import { join } from "node:path";
import type { StickyKeys } from "../channel/messages.ts";
import { RouterError } from "../model/errors.ts";
import { isSameKey, type SealingKey } from "../store/sealing-key.ts";
import type { SharedSealingKey } from "../store/shared-sealing-key.ts";
import type { Log } from "../telemetry/log-port.ts";
import {
  loadSealingKey,
  passingSealingKey,
  readSealingKey,
  saveSealingKey,
} from "./sealing-key.ts";

export interface SealingKeysOptions {
  /** An operator's own. */
  readonly file: string | undefined;
  /** The state directory; undefined: nothing is kept. */
  readonly directory: string | undefined;
  readonly log: Log;
}

export class SealingKeys {
  readonly #options: SealingKeysOptions;
  readonly #listeners = new Set<(keys: StickyKeys) => void>();
  #keys: StickyKeys;
  #unsubscribe: () => void = () => {};
  /** One after the other. */
  #saving: Promise<void> = Promise.resolve();

  /** Rejects as `readSealingKey` and `loadSealingKey`. */
  static async open(options: SealingKeysOptions): Promise<SealingKeys> {
    const { file, directory } = options;
    if (file !== undefined) return new SealingKeys(options, await readSealingKey(file));
    const own = directory === undefined ? passingSealingKey() : await loadSealingKey(directory);
    return new SealingKeys(options, own);
  }

  private constructor(options: SealingKeysOptions, current: SealingKey) {
    this.#options = options;
    this.#keys = { current, previous: undefined };
  }

  get keys(): StickyKeys {
    return this.#keys;
  }

  /**
   * Uses the store's key from now on, and gives it ours where it has none. Resolves once both know the same and that
   * is on disk, or the store cannot be asked; never rejects. An operator's own key is not shared, and there may be no store to share it.
   */
  async share(shared: SharedSealingKey | undefined): Promise<void> {
    if (this.#options.file !== undefined || shared === undefined) return;
    this.#unsubscribe = shared.subscribe((key) => this.#take(key));
    if (shared.current !== undefined) this.#take(shared.current);
    await shared.offer(this.#keys.current);
    await this.#saving;
  }

  /** Calls `listener` when `keys` changes. */
  subscribe(listener: (keys: StickyKeys) => void): void {
    this.#listeners.add(listener);
  }

  /** Resolves once what was learned is on disk. */
  async close(): Promise<void> {
    this.#unsubscribe();
    this.#listeners.clear();
    await this.#saving;
  }

  #take(current: SealingKey): void {
    const { log } = this.#options;
    if (isSameKey(current, this.#keys.current)) return;
    this.#keys = { current, previous: this.#keys.current };
    log.info("sticky cookies are sealed with the key of the store from now on");
    for (const listener of this.#listeners) listener(this.#keys);
    this.#saving = this.#saving.then(() => this.#save(current));
  }

  async #save(key: SealingKey): Promise<void> {
    const { directory, log } = this.#options;
    if (directory === undefined) return;
    try {
      await saveSealingKey(directory, key);
    } catch (error) {
      log.warn(
        "the store's sealing key is not kept; a start without the store would use an older one",
        {
          file: join(directory, "sealing.key"),
          error: RouterError.from(error).message,
        },
      );
    }
  }
}
