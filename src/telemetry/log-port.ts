// What the rest of the program needs of a log: three levels, a message, fields. No library in sight.

/** Plain data; an Error is written with its message, code and stack. Never secrets. */
export type LogFields = Readonly<Record<string, unknown>>;

/** One entry per change of state, never one per request: what is frequent is a counter. */
export interface Log {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}
