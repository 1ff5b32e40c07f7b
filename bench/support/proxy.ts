// What a contender is asked to do, and what runs then. Knows no contender.

import type { Program } from "./program.ts";

export interface Job {
  readonly mode: "http" | "tcp" | "web-socket";
  readonly backendPort: number;
  /** Hosts, "r0.bench.test" and on; in TCP mode one port. */
  readonly routes: number;
  /** Client connections at a time, at most: what limits and pools must have room for. */
  readonly connections: number;
  /** Of the largest body in either direction; 0: small ones only. */
  readonly bodyBytes: number;
  /** Threads or processes that serve. */
  readonly workers: number;
  /** Where the proxy runs; absent: every core. */
  readonly core: number | undefined;
  /** For configuration, logs and state; empty. */
  readonly folder: string;
}

export interface RunningProxy {
  /** As in the tables. */
  readonly name: string;
  /** What is named with its version below the tables, and that. */
  readonly product: string;
  readonly version: string;
  /** A rival has a column of ratios; of Node's peers the best has one. */
  readonly side: "rival" | "peer" | "ours";
  readonly port: number;
  readonly program: Program;
}

/** Text instead of a proxy: why it is left out. */
export type Contender = (job: Job) => Promise<RunningProxy | string>;

export function hostOf(route: number): string {
  return `r${route}.bench.test`;
}

export function hostsOf(routes: number): string[] {
  return Array.from({ length: routes }, (_, route) => hostOf(route));
}
