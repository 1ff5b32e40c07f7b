// What a failed call to etcd means: one RouterError from the gRPC status, in words that an operator understands.
//
// Knows: gRPC's codes, the texts of etcd 3.4 to 3.6 (rpctypes/error.go), of grpc-js and of Node. Does not know: sockets,
// retries, which call it was beyond its name. Credentials never get here.

import { etcdCauseCharactersMax } from "../limits.ts";
import { RouterError, type RouterErrorCode } from "../model/errors.ts";

/** How a call ended, as gRPC says it. */
export interface CallFailure {
  /** gRPC's status code, never 0. */
  readonly code: number;
  readonly details: string;
}

/** Which call it was. */
export interface CallPlace {
  /** "http://10.0.0.5:2379" */
  readonly endpoint: string;
  /** "range of /crosspoint/routes/" */
  readonly call: string;
  /** Who we said we are. */
  readonly user: string | undefined;
  /** The time the call was given. */
  readonly deadlineMs: number;
}

/** gRPC's codes that etcd and grpc-js use. */
export const GrpcCode = {
  cancelled: 1,
  unknown: 2,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

interface Meaning {
  readonly code: RouterErrorCode;
  readonly reason: string;
  /** Follows "etcd http://h:2379 "; says the cause, then what to do. */
  readonly words: string;
  /**
   * Whatever the call was, it did not and will not change anything. Absent: true of a verdict of etcd's, false of
   * a connection that failed.
   */
  readonly notApplied?: boolean;
}

interface Rule {
  readonly pattern: RegExp;
  readonly meaning: (place: CallPlace, cause: string) => Meaning;
}

/**
 * The failure of a call as callers see it. `metadata.applied` is "no" when it is certain that the call changed
 * nothing; with ETCD_UNREACHABLE and ETCD_TIMEOUT without it, a write may have happened.
 */
export function etcdError(failure: CallFailure, place: CallPlace): RouterError {
  const known = rules.find(({ pattern }) => pattern.test(failure.details));
  const cause = shortened(failure.details);
  const meaning = known?.meaning(place, cause) ?? byCode(failure.code, place, cause);
  return new RouterError(meaning.code, `etcd ${place.endpoint} ${meaning.words}`, {
    reason: meaning.reason,
    metadata: {
      endpoint: place.endpoint,
      call: place.call,
      ...(isCertain(meaning) ? { applied: "no" } : {}),
    },
  });
}

function isCertain({ notApplied, reason }: Meaning): boolean {
  return notApplied ?? (reason !== "ETCD_UNREACHABLE" && reason !== "ETCD_TIMEOUT");
}

/** An etcd that is too old for us, or no etcd at all. */
export function versionError(endpoint: string, version: string): RouterError {
  const found = version === "" ? "gives no version" : `is version ${shortened(version)}`;
  return new RouterError(
    "store-unavailable",
    `etcd ${endpoint} ${found}: Crosspoint needs etcd 3.4 or later; upgrade it, or name another`,
    { reason: "ETCD_VERSION", metadata: { endpoint, applied: "no" } },
  );
}

/** The token that goes with each call has expired or died with its server: a new one helps. */
export function wantsNewToken(failure: CallFailure): boolean {
  return /invalid auth token|revision of auth store is old/.test(failure.details);
}

/** Another endpoint may do better: this one is away, or is none of ours. */
export function isOfEndpoint({ details: { reason } }: RouterError): boolean {
  return reason === "ETCD_UNREACHABLE" || reason === "ETCD_TIMEOUT" || reason === "ETCD_VERSION";
}

/** It is certain that the call changed nothing. */
export function isNotApplied(error: RouterError): boolean {
  return error.details.metadata?.["applied"] === "no";
}

/** Marks a failure of something that came before the call itself. */
export function beforeTheCall(error: RouterError): RouterError {
  if (isNotApplied(error)) return error;
  return new RouterError(error.code, error.message, {
    ...error.details,
    metadata: { ...error.details.metadata, applied: "no" },
  });
}

/** The first that matches counts: what etcd itself says, then what happened to the connection. */
const rules: readonly Rule[] = [
  rule(/required revision has been compacted/, () => ({
    code: "out-of-range",
    reason: "ETCD_COMPACTED",
    words: "no longer keeps the revision that was asked for (compacted): list again",
  })),
  rule(/required revision is a future revision/, () => ({
    code: "out-of-range",
    reason: "ETCD_FUTURE",
    words: "has not reached the revision that was asked for: its data is older than it was",
  })),
  rule(/database space exceeded/, () => ({
    code: "resource-exhausted",
    reason: "ETCD_NOSPACE",
    words:
      "takes no writes, its database's quota is used up (NOSPACE): compact and defragment it, then `etcdctl alarm disarm`",
  })),
  rule(/too many operations in txn request/, () => ({
    code: "resource-exhausted",
    reason: "ETCD_TOO_LARGE",
    words:
      "refuses so many operations in one transaction: its --max-txn-ops is smaller (default 128)",
  })),
  rule(/request is too large|received message larger than max|Sent message larger/, () => ({
    code: "resource-exhausted",
    reason: "ETCD_TOO_LARGE",
    words: "refuses a request of that size: its --max-request-bytes is smaller (default 1.5 MiB)",
  })),
  rule(/Received message larger than max/, () => ({
    code: "resource-exhausted",
    reason: "ETCD_TOO_LARGE",
    words: "answered with more than this client takes in one piece: ask for fewer keys",
    // The answer was lost, not the call.
    notApplied: false,
  })),
  rule(/etcdserver: too many requests/, () => ({
    ...unreachable("has too many requests waiting: it or its disk is too slow for its load"),
    notApplied: true,
  })),
  rule(/requested lease not found/, () => ({
    code: "not-found",
    reason: "ETCD_LEASE_GONE",
    words: "does not know the lease: it expired or was revoked",
  })),
  rule(/authentication failed, invalid user ID or password/, ({ user }) =>
    auth(`refuses the password of user ${JSON.stringify(user ?? "")}: check user and password`),
  ),
  rule(/authentication is not enabled/, ({ user }) =>
    auth(
      `has no authentication, but a user (${JSON.stringify(user ?? "")}) is set: leave it out, or \`etcdctl auth enable\``,
    ),
  ),
  rule(/user name is empty/, () =>
    auth("asks for a user and password: give --etcd-user and --etcd-password-file"),
  ),
  rule(/permission denied/i, ({ user, call }) =>
    auth(
      `does not permit ${user === undefined ? "this client" : `user ${JSON.stringify(user)}`} the ${call}: ` +
        "grant its role readwrite on the prefix (`etcdctl role grant-permission --prefix=true ROLE readwrite PREFIX`); what is only discovered needs read",
    ),
  ),
  rule(/invalid auth token|revision of auth store is old|user name not found/, (_, cause) =>
    auth(`refuses the login of this client again and again (${cause})`),
  ),
  rule(/no leader|leader changed|unhealthy cluster/, (_, cause) =>
    unreachable(
      `has no leader (${cause}): most members of its cluster must run and reach each other`,
    ),
  ),
  rule(/etcdserver: request timed out/, (_, cause) =>
    timeout(
      `could not agree with its cluster in time (${cause}): check its members and their disks`,
    ),
  ),
  rule(/Name resolution failed/, () =>
    notSent("has a name that cannot be resolved: check its spelling and the DNS"),
  ),
  // Of a connection that is made; one that was made and then lost ("read ETIMEDOUT") may have brought the call.
  rule(/connect ECONNREFUSED/, () =>
    notSent("refuses the connection (ECONNREFUSED): is it running, and is the port right?"),
  ),
  rule(/connect (?:EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|EADDRNOTAVAIL)/, (_, cause) =>
    notSent(`cannot be reached (${cause}): check the address, routes and firewalls`),
  ),
  rule(/alert (?:bad certificate|certificate required|unknown ca|handshake failure)/, (_, cause) =>
    notSent(
      `wants a client certificate that its CA signed (${cause}): give --etcd-cert and --etcd-key`,
    ),
  ),
  rule(/alt ?names|does not match certificate/i, (_, cause) =>
    notSent(`shows a certificate for another name (${cause}): connect by a name that is in it`),
  ),
  rule(/certificate|self[- ]signed|issuer/i, (_, cause) =>
    notSent(`shows a certificate that is not trusted (${cause}): give its CA as --etcd-ca`),
  ),
  rule(/before secure TLS connection|wrong version number|packet length too long/i, () =>
    notSent("does not speak TLS: write http:// for it, or give etcd a certificate"),
  ),
  rule(/Last error: Failed to connect/, ({ endpoint }) =>
    notSent(
      `closes the connection at once${endpoint.startsWith("http:") ? ": if it speaks TLS, write https://" : ""}`,
    ),
  ),
  // A proxy between us and etcd, which may have passed the call on.
  rule(/HTTP status code 5\d\d/, (_, cause) =>
    unreachable(`is behind a proxy that failed (${cause})`),
  ),
  rule(/Last error: Protocol error|HTTP status code|content-type|Parse Error/i, (_, cause) =>
    foreign(`answers, but not as an etcd (${cause}): is this its client port?`),
  ),
  rule(/No connection established/, (_, cause) => notSent(`cannot be reached (${cause})`)),
];

function rule(pattern: RegExp, meaning: Rule["meaning"]): Rule {
  return { pattern, meaning };
}

function byCode(code: number, place: CallPlace, cause: string): Meaning {
  switch (code) {
    case GrpcCode.deadlineExceeded:
      return timeout(
        `did not answer within ${Math.round(place.deadlineMs / 100) / 10} s: it, its disk or the network to it is stuck`,
      );
    case GrpcCode.unimplemented:
      return foreign(`does not know etcd's version 3 calls (${cause}): is this its client port?`);
    case GrpcCode.unauthenticated:
    case GrpcCode.permissionDenied:
      return auth(`refuses the ${place.call} (${cause})`);
    case GrpcCode.resourceExhausted:
      return {
        code: "resource-exhausted",
        reason: "ETCD_TOO_LARGE",
        words: `refuses the ${place.call} (${cause})`,
        notApplied: false,
      };
    case GrpcCode.unavailable:
    case GrpcCode.cancelled:
    case GrpcCode.unknown:
    case GrpcCode.internal:
      return unreachable(`broke off the ${place.call} (${cause})`);
    default:
      return {
        code: "invalid-argument",
        reason: "ETCD_REFUSED",
        words: `refuses the ${place.call} (${cause})`,
      };
  }
}

function unreachable(words: string): Meaning {
  return { code: "store-unavailable", reason: "ETCD_UNREACHABLE", words };
}

function notSent(words: string): Meaning {
  return { ...unreachable(words), notApplied: true };
}

function timeout(words: string): Meaning {
  return { code: "store-unavailable", reason: "ETCD_TIMEOUT", words };
}

function auth(words: string): Meaning {
  return { code: "store-unavailable", reason: "ETCD_AUTH", words };
}

function foreign(words: string): Meaning {
  return { code: "store-unavailable", reason: "ETCD_VERSION", words };
}

/** Without the frames that grpc-js and OpenSSL put around the words, control characters, and length. */
function shortened(text: string): string {
  const plain = text
    .replace(/^.*Last error: (?:Error: )?/s, "")
    .replace(/ ?Resolution note: .*$/s, "")
    .replace(/\s*\(\d{4}-\d\d-\d\dT[^)]*\)/g, "")
    .replace(/^[0-9A-F]+:error:[0-9A-F]+:SSL routines:[^:]*:([^:]*):.*$/s, "$1")
    .replace(/; if the root CA is installed locally.*$/s, "")
    // oxlint-disable-next-line no-control-regex -- control characters are what this is about
    .replaceAll(/[\u0000-\u001f\u007f]+/g, " ")
    .replace(/[\s.]+$/, "");
  return plain.length > etcdCauseCharactersMax
    ? `${plain.slice(0, etcdCauseCharactersMax)}…`
    : plain;
}
