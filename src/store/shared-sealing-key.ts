// The sealing key that the nodes of a store share: a port of a store that nodes share.

import type { SealingKey } from "./sealing-key.ts";

export interface SharedSealingKey {
  /** What the store had when it was last seen, also once that is lost or unreadable; undefined: never any. */
  readonly current: SealingKey | undefined;
  /** Called when `current` becomes another one. The answer ends it. */
  subscribe(listener: (key: SealingKey) => void): () => void;
  /**
   * Puts a key where the store has none, now and whenever it is lost: `current`, or `key` when there never was one.
   * Never while what the store holds is not believed. Resolves once it was tried, or cannot be now; never rejects.
   */
  offer(key: SealingKey): Promise<void>;
}
