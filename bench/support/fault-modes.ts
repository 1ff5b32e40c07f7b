// The ways in which one of three backends is bad, and the timeouts that every proxy is given. For bench/faults.ts.

export const faultModes = {
  slow: "answers ten times as late",
  stuck: "accepts and reads, and never answers",
  refusing: "is gone: connections are refused",
  resetting: "resets in the middle of its answer",
  failing: "answers 500",
} as const;
export type FaultMode = keyof typeof faultModes;

/** How long a good backend takes, in ms; a slow one ten times that. */
export const answerMs = 5;
export const slowFactor = 10;
/** Bytes of an answer's body; a resetting backend sends half of them. */
export const answerBytes = 200;

export const healthPath = "/healthz";
/** Of the control port: `GET /mode/slow`. */
export const modePath = "/mode/";

/** What every proxy waits for, in ms: a connection, an answer. */
export const connectMs = 1_000;
export const answerMsMax = 2_000;
/** Checks: each so often; down after three that fail in a row, up after two that do not, as is HAProxy's default. */
export const checkEveryMs = 1_000;
export const checksDown = 3;
export const checksUp = 2;

/** Beyond it an answer comes too late to be one, in ms. */
export const hurtMs = 1_000;
