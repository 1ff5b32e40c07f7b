// Goal: the prober's thread runs while there is something to probe; when it dies it is replaced, and leaves nothing behind.
// Method: the real thread, real backends, and descriptors counted in /proc.

import { readdirSync } from "node:fs";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  ProbeCounter,
  type ProbeTarget,
  type TargetVerdict,
} from "../../src/channel/prober-messages.ts";
import { ProberLink } from "../../src/control/prober-link.ts";
import type { Address } from "../../src/model/address.ts";
import { realSystem } from "../../src/system.ts";
import { testedAdapter } from "../support/adapters.ts";
import { answering, probedBackend } from "../support/probed-backend.ts";
import { recordingLog } from "../support/recording-log.ts";
import { until } from "../support/until.ts";

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

function targetOf(id: number, address: Address, intervalMs = 400): ProbeTarget {
  const check = {
    probe: { kind: "http", path: "/" },
    intervalMs,
    timeoutMs: intervalMs,
    healthyThreshold: 1,
    unhealthyThreshold: 1,
  } as const;
  return { id, address, check, state: "unknown" };
}

function world() {
  const targets = new Map<number, ProbeTarget>();
  const verdicts: TargetVerdict[] = [];
  const log = recordingLog();
  const link = new ProberLink({
    file: new URL("../../src/health/main.ts", import.meta.url),
    io: testedAdapter(),
    userAgent: "crosspoint/test",
    system: realSystem,
    log,
    targets: () => [...targets.values()],
    onVerdicts: (news) => void verdicts.push(...news),
  });
  onTestFinished(() => link.rest());
  const probe = (...added: readonly ProbeTarget[]): void => {
    for (const target of added) targets.set(target.id, target);
    link.change(added, []);
  };
  return { link, targets, verdicts, log, probe };
}

const descriptors = (): number => readdirSync("/proc/self/fd").length;

describe("the prober's thread", { timeout: 60_000 }, () => {
  test("probes from the first target on, and ends when there is none", async () => {
    const backend = await probedBackend(answering(ok));
    const { link, probe, verdicts } = world();
    probe(targetOf(1, backend.address));
    await until(() => link.counters[ProbeCounter.succeeded]! >= 2, "probes", 18_000);
    expect(verdicts).toEqual([{ id: 1, state: "healthy", reason: "HTTP 200" }]);
    expect(backend.received[0]).toContain("\r\nUser-Agent: crosspoint/test\r\n");
    await link.rest();
    const { connections } = backend;
    // It can begin again.
    const other = await probedBackend(answering(ok));
    probe(targetOf(2, other.address));
    await until(() => other.connections >= 3, "probes of the second thread");
    // The second thread has got all targets, as there were two.
    expect(backend.connections).toBeGreaterThan(connections);
    expect(link.restarts).toBe(0);
  });

  test("takes targets and gives them up while it runs", async () => {
    const first = await probedBackend(answering(ok));
    const second = await probedBackend(answering(ok));
    const { link, probe, verdicts } = world();
    probe(targetOf(1, first.address));
    await until(() => verdicts.length === 1, "a verdict");
    probe(targetOf(2, second.address));
    await until(() => second.connections >= 2, "probes of the second");
    link.change([], [1]);
    await until(() => second.connections >= 4, "time to pass");
    const { connections } = first;
    await until(() => second.connections >= 8, "more time to pass");
    expect(first.connections).toBe(connections);
  });

  test("is replaced when it dies: at once, then ever more slowly, and leaves no descriptor open", async () => {
    const stuck = await probedBackend(() => {});
    const backend = await probedBackend(answering(ok));
    const { link, probe, log } = world();
    probe(targetOf(1, backend.address), targetOf(2, stuck.address, 60_000));
    await until(() => backend.connections >= 2 && stuck.connections === 1, "probes");
    const before = descriptors();
    for (const death of [1, 2]) {
      const { connections } = backend;
      const stuckBefore = stuck.connections;
      link.kill();
      await until(() => backend.connections >= connections + 2, "the next one to probe");
      await until(() => stuck.connections > stuckBefore, "the next one to probe the stuck one");
      expect(link.restarts).toBe(death);
      await until(
        () => stuck.ends[stuckBefore - 1] !== "",
        "the dead one's connection to be closed",
      );
    }
    await until(
      () => descriptors() <= before + 2,
      () => `${descriptors()} descriptors, not ${before}`,
    );
    const deaths = log.entries.filter(({ level }) => level === "error");
    expect(deaths.map(({ message }) => message)).toEqual([
      "the prober has died; what it had found stands until the next one probes",
      "the prober has died; what it had found stands until the next one probes",
    ]);
    expect(deaths.map(({ fields }) => fields["pauseMs"])).toEqual([0, 250]);
  });

  test("ends while it waits for something far away", async () => {
    const backend = await probedBackend(answering(ok));
    const { link, probe, verdicts } = world();
    probe(targetOf(1, backend.address, 3_600_000));
    await until(() => verdicts.length === 1, "a verdict");
    const beginMs = performance.now();
    await link.rest();
    expect(performance.now() - beginMs).toBeLessThan(900);
  });

  test("that cannot even start is tried again, and says why", async () => {
    const log = recordingLog();
    const link = new ProberLink({
      file: new URL("../../src/health/nothing-here.ts", import.meta.url),
      io: "net",
      userAgent: "",
      system: realSystem,
      log,
      targets: () => [],
      onVerdicts: () => {},
    });
    onTestFinished(() => link.rest());
    link.change([], []);
    await until(() => link.restarts >= 2, "two more tries");
    expect(String(log.entries[0]?.fields["cause"])).toContain("nothing-here");
  });
});
