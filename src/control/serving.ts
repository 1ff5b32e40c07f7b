// What the RPC service needs of the fleet: a port, so that the service is tested without threads.

import type { ExplainQuestion, Explanation, OpenPlace } from "../channel/messages.ts";
import type { Revision } from "../model/revision.ts";
import type { Unserved } from "../store/members.ts";
import type { NodeMeasure } from "./measures.ts";

/** A node that has not confirmed a revision. */
export interface NodeLag {
  readonly node: string;
  readonly servedRevision: Revision;
  /** "worker 2 has not acknowledged revision 17 (serves 15)". */
  readonly reason: string;
}

/** A port that is held for a TCP route that is about to be stored. */
export interface PortReservation {
  readonly port: number;
  /** The write failed: give the port back. Harmless after the route was stored. */
  release(): void;
}

export interface Serving {
  readonly nodeName: string;
  /**
   * Resolves with [] once every worker serves `revision` or a later one; when `signal` aborts, or a
   * worker refused the revision, or its change is one of `unserved`, with who lags and why.
   */
  whenServed(revision: Revision, signal: AbortSignal): Promise<readonly NodeLag[]>;
  /** Changes that this node does not serve though it serves their revision; the newest, each revision once. */
  unserved(): readonly Unserved[];
  /**
   * Binds `port` (0: any free one of the node's range, that `taken` does not hold) on every TCP
   * address. Rejects "failed-precondition" when somebody else has it or it is privileged,
   * "resource-exhausted" when the range is used up.
   */
  reservePort(port: number, taken: (port: number) => boolean): Promise<PortReservation>;
  explain(question: ExplainQuestion, signal: AbortSignal): Promise<Explanation>;
  /** Summed over this node's workers. */
  measure(service: string | undefined, signal: AbortSignal): Promise<readonly NodeMeasure[]>;
  /** Who waits on this node for room or for the end of a pause; undefined: the service has no limits and is not paused. */
  loadOf?(service: string): { readonly waiting: number } | undefined;
  /** Requests and connections in flight at each place, over this node's workers; undefined: one has not told. */
  count(places: readonly OpenPlace[], signal: AbortSignal): Promise<readonly number[] | undefined>;
}
