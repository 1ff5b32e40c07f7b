// A log that remembers, for tests that ask what was said and how often.

import type { Log, LogFields } from "../../src/telemetry/log-port.ts";

export interface LogEntry {
  readonly level: "info" | "warn" | "error";
  readonly message: string;
  readonly fields: LogFields;
}

export interface RecordingLog extends Log {
  readonly entries: readonly LogEntry[];
  messages(): readonly string[];
}

export function recordingLog(): RecordingLog {
  const entries: LogEntry[] = [];
  const keep =
    (level: LogEntry["level"]) =>
    (message: string, fields: LogFields = {}): void =>
      void entries.push({ level, message, fields });
  return {
    entries,
    messages: () => entries.map((entry) => entry.message),
    info: keep("info"),
    warn: keep("warn"),
    error: keep("error"),
  };
}
