// Which machine this is, which programs it has, and on which cores they may run.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, release, type } from "node:os";

/** The proxy has this core for itself; load and backend share the other. See docs/BENCHMARKS.md. */
export const proxyCore = 0;
export const loadCore = 1;

export function machineName(): string {
  const model = (cpus()[0]?.model ?? "unknown CPU").replaceAll(/\s+/g, " ").trim();
  return `${model}, ${availableParallelism()} cores, ${type()} ${release().split("-")[0]}`;
}

/** First match of `pattern` in what `command args` prints; undefined when it is not installed. */
export function versionOf(
  command: string,
  args: readonly string[],
  pattern: RegExp,
): string | undefined {
  const { stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8", timeout: 5000 });
  if (error !== undefined) return undefined;
  return pattern.exec(`${stdout}${stderr}`)?.[1];
}

export const haproxyVersion = (): string | undefined =>
  versionOf("haproxy", ["-v"], /version (\d[\w.]*)/);
export const nginxVersion = (): string | undefined =>
  versionOf("nginx", ["-v"], /nginx\/(\d[\w.]*)/);
export const wrkVersion = (): string | undefined => versionOf("wrk", ["-v"], /wrk \D*(\d[\w.]*)/);

const canPin = versionOf("taskset", ["-V"], /(\d[\w.]*)/) !== undefined;

/** True when proxy and load have a core each; otherwise figures say little. */
export function hasTwoCores(): boolean {
  return canPin && availableParallelism() >= 2;
}

/** File descriptors that one process may have (ulimit -n); programs that we start inherit it. */
export function descriptorsMax(): number {
  try {
    const limits = readFileSync("/proc/self/limits", "utf8");
    return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  } catch {
    return Number.POSITIVE_INFINITY; // no Linux: what runs out says so
  }
}

/** The same command, bound to a core where that is possible and asked for. */
export function pinned(
  core: number | undefined,
  command: string,
  args: readonly string[],
): readonly string[] {
  return core !== undefined && hasTwoCores()
    ? ["taskset", "-c", String(core), command, ...args]
    : [command, ...args];
}
