// A gRPC client's error -> RouterError: the canonical code and the google.rpc details, read back.
//
// The other side of control/grpc-status.ts.

import { type ServiceError, status } from "@grpc/grpc-js";
import { BadRequest, ErrorInfo, ResourceInfo, RetryInfo } from "../gen/google/rpc/error_details.ts";
import { Status } from "../gen/google/rpc/status.ts";
import {
  type ErrorDetails,
  type FieldViolation,
  RouterError,
  type RouterErrorCode,
} from "../model/errors.ts";

const codes: Partial<Record<number, RouterErrorCode>> = {
  [status.CANCELLED]: "cancelled",
  [status.INVALID_ARGUMENT]: "invalid-argument",
  [status.DEADLINE_EXCEEDED]: "deadline",
  [status.NOT_FOUND]: "not-found",
  [status.ALREADY_EXISTS]: "already-exists",
  [status.RESOURCE_EXHAUSTED]: "resource-exhausted",
  [status.FAILED_PRECONDITION]: "failed-precondition",
  [status.ABORTED]: "revision-conflict",
  [status.OUT_OF_RANGE]: "out-of-range",
  [status.UNIMPLEMENTED]: "unimplemented",
  [status.UNAVAILABLE]: "unavailable",
};

/** A status without details did not come from a node: the connection failed, or something else answered. */
export function errorOf(error: ServiceError, address: string): RouterError {
  const code = codes[error.code] ?? "internal";
  const details = detailsOf(error);
  if (code === "unavailable" && details === undefined) return unreachable(address, error.details);
  if (details === undefined && error.details.startsWith("Received HTTP status code")) {
    return unreachable(address, `what answers there is not a node (${error.details})`);
  }
  const message = error.details === "" ? `the node answered ${code}` : error.details;
  return new RouterError(code, message, details, { cause: error });
}

export function unreachable(address: string, cause: string): RouterError {
  return new RouterError(
    "unavailable",
    `the node at ${address} cannot be reached: ${connectCause(cause)}; is \`crosspoint serve\` running there? (--rpc ADDR or CROSSPOINT_RPC says where)`,
  );
}

/** grpc-js wraps what the socket said in several sentences. */
function connectCause(text: string): string {
  return /(?:connect|getaddrinfo) E[A-Z_]+.*?(?=\. |[);]|$)/.exec(text)?.[0] ?? text;
}

function detailsOf(error: ServiceError): ErrorDetails | undefined {
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (!(bytes instanceof Uint8Array)) return undefined;
  const violations: FieldViolation[] = [];
  let found: ErrorDetails = {};
  for (const { typeUrl, value } of Status.decode(bytes).details) {
    switch (typeUrl.slice(typeUrl.lastIndexOf(".") + 1)) {
      case "BadRequest":
        violations.push(...BadRequest.decode(value).fieldViolations);
        break;
      case "ResourceInfo": {
        const { resourceType, resourceName, description } = ResourceInfo.decode(value);
        found = { ...found, resource: { type: resourceType, name: resourceName, description } };
        break;
      }
      case "ErrorInfo": {
        const { reason, metadata } = ErrorInfo.decode(value);
        found = { ...found, reason, metadata };
        break;
      }
      case "RetryInfo": {
        const { seconds = 0n, nanos = 0 } = RetryInfo.decode(value).retryDelay ?? {};
        found = { ...found, retryAfterMs: Number(seconds) * 1_000 + nanos / 1e6 };
        break;
      }
      default: // PreconditionFailure and QuotaFailure repeat the message for programs.
    }
  }
  return { ...found, violations };
}
