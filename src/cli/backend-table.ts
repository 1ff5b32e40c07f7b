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

/** Whether requests are sent there while others are good; as the node sees it. */
export function isUsable(status: BackendStatus, nowMs: number): boolean {
  return (
    status.health !== Health.UNHEALTHY &&
    status.health !== Health.DRAINING &&
    ejectedMs(status, nowMs) === 0
  );
}

function healthCell(status: BackendStatus, nowMs: number): Cell {
  const leftMs = ejectedMs(status, nowMs);
  switch (status.health) {
    case Health.DRAINING:
      return { text: "draining", style: "yellow" };
    case Health.UNHEALTHY:
      return { text: "unhealthy", style: "red" };
    default:
      if (leftMs > 0) return { text: `ejected ${Math.ceil(leftMs / 1000)}s`, style: "yellow" };
      return status.health === Health.HEALTHY ? { text: "healthy", style: "green" } : "unknown";
  }
}

function ejectedMs({ ejectedUntil }: BackendStatus, nowMs: number): number {
  return ejectedUntil === undefined ? 0 : Math.max(0, ejectedUntil.getTime() - nowMs);
}

/** "0.42ms", "8.1ms", "120ms", "2.5s"; "" when nothing was measured. */
export function latencyText(ms: number): string {
  if (ms <= 0) return "";
  if (ms < 1) return `${ms.toFixed(2)}ms`;
  if (ms < 10) return `${ms.toFixed(1)}ms`;
  return ms < 1_000 ? `${Math.round(ms)}ms` : `${(ms / 1_000).toFixed(1)}s`;
}
