// RouterError -> what a gRPC client sees: a canonical code, and google.rpc details for programs.
//
// Knows the numbers of the codes and the details' type names. Does not know grpc-js.
// An "internal" error is a bug of ours: its text stays in the log.

import {
  BadRequest,
  ErrorInfo,
  PreconditionFailure,
  QuotaFailure,
  ResourceInfo,
  RetryInfo,
} from "../gen/google/rpc/error_details.ts";
import { Status } from "../gen/google/rpc/status.ts";
import {
  errorDetailCharactersMax,
  errorMessageCharactersMax,
  violationsAnsweredMax,
} from "../limits.ts";
import type { RouterError, RouterErrorCode } from "../model/errors.ts";

/** How a call ended, ready for the wire. */
export interface GrpcStatus {
  readonly code: GrpcCode;
  readonly message: string;
  /** google.rpc.Status, for the trailer "grpc-status-details-bin". */
  readonly details: Uint8Array;
}

/** Canonical codes that we answer with (google/rpc/code.proto). */
const codeNumbers = {
  CANCELLED: 1,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
} as const;
export type GrpcCode = keyof typeof codeNumbers;

const codeOf: Readonly<Record<RouterErrorCode, GrpcCode>> = {
  "invalid-argument": "INVALID_ARGUMENT",
  "not-found": "NOT_FOUND",
  "already-exists": "ALREADY_EXISTS",
  "revision-conflict": "ABORTED",
  "failed-precondition": "FAILED_PRECONDITION",
  "out-of-range": "OUT_OF_RANGE",
  "resource-exhausted": "RESOURCE_EXHAUSTED",
  "store-unavailable": "UNAVAILABLE",
  unavailable: "UNAVAILABLE",
  unimplemented: "UNIMPLEMENTED",
  cancelled: "CANCELLED",
  deadline: "DEADLINE_EXCEEDED",
  internal: "INTERNAL",
};

/** When a caller may try again, in ms, for codes that pass by themselves. */
const retryAfterMsOf: Partial<Record<RouterErrorCode, number>> = {
  "store-unavailable": 1_000,
  unavailable: 1_000,
};

export function grpcStatusOf(error: RouterError): GrpcStatus {
  const message =
    error.code === "internal"
      ? "internal error; the node's log has the details"
      : cut(error.message, errorMessageCharactersMax);
  const details = detailsOf(error, message).map(({ type, value }) => ({
    typeUrl: `type.googleapis.com/google.rpc.${type}`,
    value: Buffer.from(value),
  }));
  const code = codeOf[error.code];
  const status = { code: codeNumbers[code], message, details };
  return { code, message, details: Status.encode(status).finish() };
}

interface Detail {
  readonly type: string;
  readonly value: Uint8Array;
}

/** ErrorInfo always, and beside it what fits the code. */
function detailsOf(error: RouterError, message: string): Detail[] {
  const details: Detail[] = [errorInfoOf(error)];
  const { violations = [], resource } = error.details;
  if (violations.length > 0) {
    const fieldViolations = violations
      .slice(0, violationsAnsweredMax)
      .map(({ field, description }) => ({ field: cut(field), description: cut(description) }));
    details.push(detail("BadRequest", BadRequest.encode({ fieldViolations })));
  }
  if (resource !== undefined) {
    const info = {
      resourceType: resource.type,
      resourceName: cut(resource.name),
      owner: "",
      description: cut(resource.description ?? ""),
    };
    details.push(detail("ResourceInfo", ResourceInfo.encode(info)));
  }
  const subject = resource === undefined ? "" : `${resource.type}/${cut(resource.name)}`;
  if (error.code === "failed-precondition") {
    const violation = { type: reasonOf(error), subject, description: cut(message) };
    details.push(
      detail("PreconditionFailure", PreconditionFailure.encode({ violations: [violation] })),
    );
  }
  if (error.code === "resource-exhausted") {
    const violation = { subject, description: cut(message) };
    details.push(detail("QuotaFailure", QuotaFailure.encode({ violations: [violation] })));
  }
  const retryAfterMs = error.details.retryAfterMs ?? retryAfterMsOf[error.code];
  if (retryAfterMs !== undefined) details.push(retryInfo(retryAfterMs));
  return details;
}

function errorInfoOf(error: RouterError): Detail {
  const metadata: Record<string, string> = {};
  if (error.code !== "internal") {
    for (const [key, value] of Object.entries(error.details.metadata ?? {})) {
      metadata[key] = cut(value);
    }
  }
  return detail(
    "ErrorInfo",
    ErrorInfo.encode({ reason: reasonOf(error), domain: "crosspoint", metadata }),
  );
}

function reasonOf(error: RouterError): string {
  return error.details.reason ?? error.code.replaceAll("-", "_").toUpperCase();
}

function retryInfo(ms: number): Detail {
  const retryDelay = {
    seconds: BigInt(Math.floor(ms / 1_000)),
    nanos: Math.round((ms % 1_000) * 1_000_000),
  };
  return detail("RetryInfo", RetryInfo.encode({ retryDelay }));
}

function detail(type: string, writer: { finish(): Uint8Array }): Detail {
  return { type, value: writer.finish() };
}

function cut(text: string, charactersMax = errorDetailCharactersMax): string {
  return text.length > charactersMax ? `${text.slice(0, charactersMax)}...` : text;
}
