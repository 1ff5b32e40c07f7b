// How a command ends when it does not succeed: exit status, and an error in words that name the thing,
// the cause and what to do next.

import { RouterError, type RouterErrorCode } from "../model/errors.ts";
import { printable } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** Exit statuses: 2 is the shell's custom, 69 and 75 are EX_UNAVAILABLE and EX_TEMPFAIL of sysexits.h. */
export const ExitStatus = {
  Done: 0,
  Failed: 1,
  Usage: 2,
  NotFound: 3,
  Conflict: 4,
  Unreachable: 69,
  Lagging: 75,
} as const;
export type ExitStatus = (typeof ExitStatus)[keyof typeof ExitStatus];

const statusOf: Partial<Record<RouterErrorCode, ExitStatus>> = {
  "invalid-argument": ExitStatus.Usage,
  "not-found": ExitStatus.NotFound,
  "already-exists": ExitStatus.Conflict,
  "revision-conflict": ExitStatus.Conflict,
  unavailable: ExitStatus.Unreachable,
  "store-unavailable": ExitStatus.Unreachable,
};

/** Wrong usage that the command itself found. */
export function usageError(message: string): RouterError {
  return new RouterError("invalid-argument", message);
}

/** The same failure with fields of the request called otherwise: as they stand in a file, or were typed. */
export function renamed(reason: unknown, rename: (text: string) => string): RouterError {
  const error = RouterError.from(reason);
  const violations = (error.details.violations ?? []).map(({ field, description }) => ({
    field: rename(field),
    description,
  }));
  const details = { ...error.details, violations };
  return new RouterError(error.code, rename(error.message), details, { cause: error });
}

/** Says what went wrong, and answers the exit status. */
export function report(reason: unknown, terminal: Terminal): ExitStatus {
  const error = RouterError.from(reason);
  terminal.note(`${terminal.noteStyle("red", "crosspoint:")} ${printable(error.message)}`);
  for (const line of detailLines(error)) terminal.note(`  ${line}`);
  if (!(reason instanceof RouterError) && reason instanceof Error)
    terminal.note(reason.stack ?? "");
  return statusOf[error.code] ?? ExitStatus.Failed;
}

/** What the message does not say already. */
function detailLines(error: RouterError): string[] {
  const { violations = [], resource, metadata = {}, retryAfterMs } = error.details;
  const lines: string[] = [];
  for (const { field, description } of violations) {
    if (!error.message.includes(description)) lines.push(`${field}: ${description}`);
  }
  if (resource !== undefined && !error.message.includes(`"${resource.name}"`)) {
    lines.push(`${resource.type}: ${resource.name}`);
  }
  if (resource?.description !== undefined && !error.message.includes(resource.description)) {
    lines.push(resource.description);
  }
  for (const [key, value] of Object.entries(metadata)) lines.push(`${key}: ${value}`);
  if (retryAfterMs !== undefined) lines.push(`try again in ${retryAfterMs / 1_000} s`);
  const next = nextStep(error);
  if (next !== undefined) lines.push(next);
  return lines.map(printable);
}

function nextStep(error: RouterError): string | undefined {
  const { resource, metadata, reason } = error.details;
  if (reason === "CHANGE_TOO_LARGE") {
    return "`crosspoint apply --in-parts` sends it in parts, each all or nothing";
  }
  switch (error.code) {
    case "already-exists":
      return resource?.type === "route"
        ? `see it with \`crosspoint route get ${resource.name}\`; change it with \`crosspoint route add --replace\` or \`crosspoint apply\``
        : undefined;
    case "revision-conflict":
      return `someone wrote first: look again with \`crosspoint export\`, then use --if-revision ${metadata?.["current"] ?? "N"}`;
    case "out-of-range":
      return "list, or watch from 0 again";
    default:
      return undefined;
  }
}
