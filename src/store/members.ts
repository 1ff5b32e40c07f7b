// The nodes that share a store, and the one question they ask each other: do you serve this revision?
//
// A port of a store that several nodes can share. Nothing is written for a change that nobody waits for:
// who waits says so in the write itself (`Write.ask`) or by `ask`; each node then reports once it serves it.

import type { Revision } from "../model/revision.ts";

/** What a node says of itself. */
export interface MemberInfo {
  readonly name: string;
  readonly version: string;
  /** As bound: "127.0.0.1:7070", "unix:/run/crosspoint.sock". */
  readonly rpc: string;
  readonly admin: string;
  readonly http: readonly string[];
  readonly workers: number;
  readonly io: string;
  /** ms since the epoch. */
  readonly startTimeMs: number;
}

/** A change that a node has and does not serve, though it serves later ones. */
export interface Unserved {
  readonly revision: Revision;
  /** "route db is not served: port 3100 on 0.0.0.0 is in use by another program". */
  readonly reason: string;
}

/**
 * What is still open on a node where nothing new is to go: at backends that drain, and at services that are paused.
 * Of a place that drains or is paused at `revision` and is not named nothing is open, unless there are `more`.
 */
export interface OpenWork {
  /** Every worker of the node served it when this was counted. */
  readonly revision: Revision;
  readonly places: readonly OpenCount[];
  /** Not all of them are named. */
  readonly more: boolean;
}

export interface OpenCount {
  readonly service: string;
  /** "": all backends of the service together. */
  readonly address: string;
  /** Requests and connections, 1 or more. */
  readonly inFlight: number;
}

/** How far a node is. */
export interface MemberReport {
  /** What every worker of the node serves. */
  readonly servedRevision: Revision;
  /** Why `revision` is not served; undefined: nothing is in the way. `refused`: and will not be by waiting. */
  readonly lag:
    | { readonly revision: Revision; readonly reason: string; readonly refused: boolean }
    | undefined;
  /** Up to `servedRevision`, all but these; the newest ones, each revision once. Absent: none. */
  readonly unserved?: readonly Unserved[];
  /** Absent: nothing drains and nothing is paused, or the node has not looked yet. */
  readonly open?: OpenWork;
}

/** A live node, as the store knows it. */
export interface Member extends MemberInfo, MemberReport {
  /** Until it reports for the first time. */
  readonly starting: boolean;
  /** Another text for each report: tells an answer from what was said before the question. */
  readonly reportId: string;
}

export interface Question {
  /** The node that asks. */
  readonly from: string;
  readonly revision: Revision;
  /** How long it waits, in ms: a report with the reason must come before. */
  readonly waitMs: number;
}

/** Whether this node is among the members. */
export type Announcement =
  /** Not asked to, or not yet. */
  | { readonly kind: "none" }
  | { readonly kind: "announced" }
  /** The store is away, or the lease ran out: it is tried again. */
  | { readonly kind: "lost"; readonly cause: string }
  /** Another live node has this name. */
  | { readonly kind: "taken"; readonly cause: string };

export interface Members {
  readonly self: Announcement;
  /** Live nodes, this one included once it is announced; by name. */
  list(): readonly Member[];
  /** Called when any of them came, went or reported. The answer ends it. */
  subscribe(listener: () => void): () => void;
  /**
   * Called when another node asks, and at once for what was asked when nobody listened and is still waited for.
   * The answer ends it.
   */
  onQuestion(listener: (question: Question) => void): () => void;
  /**
   * Announces this node under a lease, and again whenever that was lost, until `leave`; called again it
   * replaces what was said. Resolves once it stands and everything that was stored before it is in the store's
   * log, or the store turned out to be away or the name to be taken (see `self`).
   */
  announce(info: MemberInfo): Promise<void>;
  /** Tells how far this node is; the newest report replaces those that wait. Resolves once it is written. */
  report(report: MemberReport): Promise<void>;
  /**
   * Asks every node to report once it serves `revision`, or why not within `waitMs`. Resolves once the question
   * is stored. Rejects "store-unavailable" when this node is not announced.
   */
  ask(revision: Revision, waitMs: number): Promise<void>;
  /** Takes this node off the list. */
  leave(): Promise<void>;
}
