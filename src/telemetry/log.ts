// The program's log: one entry per line on standard error, as JSON for programs or as text for people.
//
// The only file that knows pino. Names in fields come from strangers (domains, peers), so whatever
// could move a terminal's cursor or start a new line is escaped in both forms.

import { destination as fileDestination, pino } from "pino";
import { logWaitingCharactersMax } from "../limits.ts";
import { realSystem, type System } from "../system.ts";
import type { Log, LogFields } from "./log-port.ts";

/** Takes whole lines, newline included. */
export interface LogDestination {
  write(line: string): void;
}

export interface LogOptions {
  readonly format: "json" | "text";
  /** Default: standard error, written at once so that the last words before a crash are not lost. */
  readonly destination?: LogDestination;
  /** Default: the real clock. */
  readonly system?: Pick<System, "wallMs">;
}

export function createLog(options: LogOptions): Log {
  const destination = options.destination ?? standardError();
  const write = (line: string): void => {
    destination.write(line);
  };
  const time = (): string => new Date((options.system ?? realSystem).wallMs()).toISOString();
  return options.format === "json" ? jsonLog(write, time) : textLog(write, time);
}

/** A full disk or a reader that left must end nobody's traffic; what cannot be written waits, then is dropped. */
function standardError(): LogDestination {
  const destination = fileDestination({ dest: 2, sync: true, maxLength: logWaitingCharactersMax });
  destination.on("error", () => {});
  return destination;
}

function jsonLog(write: (line: string) => void, time: () => string): Log {
  const logger = pino(
    {
      base: {},
      messageKey: "message",
      timestamp: () => `,"time":"${time()}"`,
      formatters: { level: (level) => ({ level }) },
    },
    // Inside JSON text these can only stand in a string, where the escape means the same.
    { write: (line) => write(line.replaceAll(unprintable, escaped)) },
  );
  return {
    info: (message, fields) => logger.info(plain(fields), message),
    warn: (message, fields) => logger.warn(plain(fields), message),
    error: (message, fields) => logger.error(plain(fields), message),
  };
}

function textLog(write: (line: string) => void, time: () => string): Log {
  const entry = (level: string, message: string, fields: LogFields | undefined): void => {
    const rest = Object.entries(plain(fields)).map(([key, value]) => ` ${key}=${textOf(value)}`);
    const line = `${time()} ${level} ${message}${rest.join("")}`;
    write(`${line.replaceAll(control, escaped)}\n`);
  };
  return {
    info: (message, fields) => entry("info ", message, fields),
    warn: (message, fields) => entry("warn ", message, fields),
    error: (message, fields) => entry("error", message, fields),
  };
}

/** Words as they are, everything else as JSON. */
function textOf(value: unknown): string {
  if (typeof value === "string" && /^[^\s"=]+$/.test(value)) return value;
  return JSON.stringify(value) ?? "undefined";
}

/** Errors have no enumerable properties; without this they would be logged as {}. */
function plain(fields: LogFields | undefined): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields ?? {})) {
    result[key] = value instanceof Error ? plainError(value) : value;
  }
  return result;
}

function plainError(error: Error): Record<string, unknown> {
  const code = "code" in error ? { code: error.code } : {};
  const cause = error.cause instanceof Error ? { cause: plainError(error.cause) } : {};
  return { message: error.message, ...code, ...cause, stack: error.stack };
}

/** DEL, the C1 controls (U+009B starts a terminal sequence) and the line separators JSON lets through. */
const unprintable = /[\u007f-\u009f\u2028\u2029]/g;
/** The same and the C0 controls. */
// oxlint-disable-next-line no-control-regex -- control characters are what this is about
const control = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
