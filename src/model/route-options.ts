// What a route may say beside its match and its service: who else answers, who may come, what is changed on
// the way. Most routes say nothing of it.
// parse-options.ts makes them: in one canonical form, with every default filled in.

import type { Domain, ExactPath, PathPrefix, ServiceName } from "./names.ts";

export interface RouteOptions {
  readonly split?: readonly Share[];
  /** HTTP only, as all but `split`, `access` and `rateLimit`. */
  readonly redirect?: Redirect;
  readonly answer?: FixedAnswer;
  readonly rewrite?: Rewrite;
  readonly mirror?: Mirror;
  readonly access?: Access;
  readonly rateLimit?: RateLimit;
  readonly pages?: readonly Page[];
  readonly retry?: Retry;
  /** From the end of the request's head to the end of its answer, over all tries; absent: as the node's limits say. */
  readonly timeoutMs?: number;
}

/** Failures after which a request is tried again, as long as it may be (RFC 9110 section 9.2.2). */
export type RetryOn =
  /** Nothing was sent: any method. */
  | "connect"
  /** The connection broke before a byte of the answer: idempotent methods. */
  | "reset"
  /** The try's own time was over: idempotent methods. */
  | "timeout"
  /** One of `statuses`: idempotent methods. */
  | "status";

/** How often and when a request is tried again; what is absent is as for a route that says nothing. */
export interface Retry {
  /** All tries, the first one among them; 1: none again. */
  readonly tries?: number;
  /** Until the head of the answer, for each try. */
  readonly perTryMs?: number;
  /** Absent: "connect" and "reset", "timeout" when `perTryMs` is there, "status" when `statuses` is. */
  readonly on?: readonly RetryOn[];
  readonly statuses?: readonly number[];
  /** Retries among 100 requests of a service, at most. */
  readonly budgetPercent?: number;
  /** An idempotent request without an answer after so long goes to a second backend as well; the first answer counts. Absent: never. */
  readonly hedgeMs?: number;
}

/** One of several services. */
export interface Share {
  readonly service: ServiceName;
  /** 0 to 1000 of the sum of all. */
  readonly weight: number;
}

/** Where a client is sent; what is absent stays as it was asked for. */
export interface Redirect {
  readonly scheme?: "http" | "https";
  readonly host?: Domain;
  readonly port?: number;
  /** The whole path. */
  readonly path?: ExactPath;
  /** In place of the route's own. */
  readonly pathPrefix?: PathPrefix;
  readonly status: number;
}

export interface FixedAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** Field names as given. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What a client gets instead of the router's own words with this status. */
export interface Page {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

export interface Rewrite {
  readonly pathPrefix?: PathPrefix;
  readonly host?: Domain;
}

export interface Mirror {
  readonly service: ServiceName;
  /** 1 to 100. */
  readonly percent: number;
}

/** CIDR ranges; who is in `deny` is out, then who is in `allow`, or everybody when that is empty, is in. */
export interface Access {
  readonly allow: readonly string[];
  readonly deny: readonly string[];
}

export interface RateLimit {
  readonly requests: number;
  readonly perMs: number;
  readonly burst: number;
  /** "client": each client address by itself. */
  readonly key: "route" | "client";
}

/** Same in everything: the canonical form makes that a comparison of texts. */
export function sameOptions(a: RouteOptions | undefined, b: RouteOptions | undefined): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
