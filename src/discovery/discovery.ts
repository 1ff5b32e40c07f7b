// The port for backends that come from elsewhere than the API: somebody else's keys in an etcd, later others.
//
// What is discovered is never written to the store: each node finds it by itself, keeps the last set when
// its source is away, and shows where each backend came from.

import type { Backend } from "../model/backend.ts";

/** One backend, found at `source`: "etcd:/services/web/1". */
export interface DiscoveredBackend {
  readonly backend: Backend;
  readonly source: string;
}

/** The whole set of a source after something changed; an address appears at most once per service. */
export type DiscoveryListener = (backends: readonly DiscoveredBackend[]) => void;

/** An entry that cannot be read, with its reason; everything else is used. */
export interface UnreadableEntry {
  readonly key: string;
  readonly reason: string;
}

export interface Discovery {
  /** "etcd:http://10.0.0.5:2379/services/": no credentials. */
  readonly name: string;
  /** What is wrong with the source, in words; undefined: nothing. The last set is kept meanwhile. */
  readonly trouble: string | undefined;
  readonly unreadable: readonly UnreadableEntry[];
  /** Calls `listener` at every change from `started` on, and at once when it has started. The answer ends it. */
  subscribe(listener: DiscoveryListener): () => void;
  /** Resolves with the first set (from the source, or its copy on disk), or when `signal` aborts. */
  started(signal: AbortSignal): Promise<void>;
  /** Takes what the source holds now although it seems to have lost its past; false when nothing is held. */
  accept(): Promise<boolean>;
  close(): Promise<void>;
}
