// Backends as rows of a table: what a person looks for first, in 100 columns; and everything, with --wide.

import { type BackendStatus, Health } from "../gen/crosspoint/v1/router.ts";
import { durationText } from "./show.ts";
import type { Cell } from "./table.ts";

interface Column {
  readonly title: string;
  /** Also without --wide. */
  readonly narrow?: true;
  readonly cell: (status: BackendStatus, nowMs: number) => Cell;
}

const columns: readonly Column[] = [
  { title: "SERVICE", narrow: true, cell: ({ backend }) => backend?.service ?? "" },
  { title: "ADDRESS", narrow: true, cell: ({ backend }) => backend?.address ?? "" },
  { title: "WEIGHT", cell: ({ backend }) => String(backend?.weight ?? "") },
  { title: "TTL", cell: ({ backend }) => durationText(backend?.ttl) },
  { title: "HEALTH", narrow: true, cell: healthCell },
  { title: "BUSY", narrow: true, cell: (status) => String(status.requestsInFlight) },
  { title: "CONNECTIONS", cell: (status) => String(status.connectionsOpen) },
  { title: "REQUESTS", narrow: true, cell: (status) => String(status.requestsTotal) },
  { title: "FAILED", narrow: true, cell: (status) => String(status.failuresTotal) },
  { title: "EJECTIONS", cell: (status) => String(status.ejectionsTotal) },
  { title: "P50", narrow: true, cell: (status) => latencyText(status.latencyP50Ms) },
  { title: "P90", cell: (status) => latencyText(status.latencyP90Ms) },
  { title: "P99", narrow: true, cell: (status) => latencyText(status.latencyP99Ms) },
  { title: "SOURCE", cell: (status) => status.source },
  { title: "LAST FAILURE", cell: (status) => status.lastFailure },
  { title: "WHY", narrow: true, cell: (status) => status.healthReason },
];

export interface BackendTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/** @param nowMs ms since the epoch: an ejection says how long it still lasts. */
export function backendTable(
  backends: readonly BackendStatus[],
  wide: boolean,
  nowMs: number,
): BackendTable {
  const shown = columns.filter(({ narrow }) => wide || narrow === true);
  return {
    head: shown.map(({ title }) => title),
    rows: backends.map((status) => shown.map(({ cell }) => cell(status, nowMs))),
  };
}

function healthCell(status: BackendStatus, nowMs: number): Cell {
  switch (status.health) {
    case Health.DRAINING:
      return { text: "draining", style: "yellow" };
    case Health.UNHEALTHY:
      return { text: "unhealthy", style: "red" };
    default:
      if (status.ejectedUntil !== undefined) {
        return { text: ejectedText(status.ejectedUntil, nowMs), style: "yellow" };
      }
      return status.health === Health.HEALTHY ? { text: "healthy", style: "green" } : "unknown";
  }
}

/** "ejected 9s"; "ejected" when its time is over, and the next request is to show whether it is back. */
function ejectedText(until: Date, nowMs: number): string {
  const leftMs = until.getTime() - nowMs;
  return leftMs <= 0 ? "ejected" : `ejected ${Math.ceil(leftMs / 1_000)}s`;
}

/** "0.42ms", "8.1ms", "120ms", "2.5s"; "" when nothing was measured. */
export function latencyText(ms: number): string {
  if (ms <= 0) return "";
  if (ms < 1) return `${ms.toFixed(2)}ms`;
  if (ms < 10) return `${ms.toFixed(1)}ms`;
  return ms < 1_000 ? `${Math.round(ms)}ms` : `${(ms / 1_000).toFixed(1)}s`;
}
