// The one error type. A code says what the caller may do next; the details say which thing it is about.

export type RouterErrorCode =
  | "invalid-argument" // the caller's fault; retrying the same call cannot help
  | "not-found"
  | "already-exists" // another entry holds the name, the match or the port
  | "revision-conflict" // someone wrote first: read again, then retry
  | "failed-precondition" // valid, but not in this state
  | "out-of-range" // a revision that is no longer kept
  | "resource-exhausted" // a limit, or no free port
  | "store-unavailable" // retry with backoff; traffic goes on with the last snapshot
  | "unavailable" // this node is starting or leaving
  | "unimplemented"
  | "cancelled" // the caller left
  | "deadline"
  | "internal"; // a bug of ours

/** A wrong field of a request; `field` is the proto path, such as `route.http.domain`. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** What an error is about, for a program. */
export interface ErrorDetails {
  readonly violations?: readonly FieldViolation[];
  /** The thing that is missing or in the way: `{ type: "route", name: "web" }`. */
  readonly resource?: {
    readonly type: string;
    readonly name: string;
    readonly description?: string;
  };
  /** UPPER_SNAKE; defaults to the code's own name. */
  readonly reason?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** When trying again makes sense, in ms. */
  readonly retryAfterMs?: number;
}

/** Any failure that a caller of Crosspoint may see. */
export class RouterError extends Error {
  readonly code: RouterErrorCode;
  readonly details: ErrorDetails;

  constructor(
    code: RouterErrorCode,
    message: string,
    details: ErrorDetails = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = "RouterError";
    this.code = code;
    this.details = details;
  }

  /** Wraps anything that was thrown; a RouterError stays as it is. */
  static from(reason: unknown, code: RouterErrorCode = "internal"): RouterError {
    if (reason instanceof RouterError) return reason;
    const message = reason instanceof Error ? reason.message : textOf(reason);
    return new RouterError(code, message, {}, { cause: reason });
  }
}

/** Even of what has no text, such as an object without a prototype. */
function textOf(reason: unknown): string {
  try {
    return String(reason);
  } catch {
    return Object.prototype.toString.call(reason);
  }
}

/** One wrong field. */
export function invalidField(field: string, description: string): RouterError {
  return new RouterError("invalid-argument", `${field}: ${description}`, {
    violations: [{ field, description }],
  });
}

/** For the default branch of a switch over a closed set: the compiler proves that it cannot run. */
export function unreachable(value: never): never {
  throw new RouterError("internal", `unreachable: ${JSON.stringify(value)}`);
}

/** What must be true; a failure is a bug of ours. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new RouterError("internal", `assertion failed: ${message}`);
}
