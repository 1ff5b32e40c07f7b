// A node's health checks: what is to be probed and known, and the thread that probes, each told of the other.

import type { IoName, ToWorker } from "../channel/messages.ts";
import { ProbeCounter } from "../channel/prober-messages.ts";
import type { System } from "../system.ts";
import type { Log } from "../telemetry/log-port.ts";
import type { ProbeMetrics } from "../telemetry/node-figures.ts";
import type { ChangeSource } from "./fleet-options.ts";
import { HealthChecks, type HealthView, type KnownHealth } from "./health.ts";
import { ProberLink } from "./prober-link.ts";

export interface NodeHealthOptions {
  readonly source: ChangeSource;
  /** The prober's entry. */
  readonly proberFile: URL;
  readonly io: IoName;
  readonly version: string;
  readonly system: System;
  readonly log: Log;
}

export class NodeHealth implements HealthView {
  readonly #checks: HealthChecks;
  readonly #link: ProberLink;

  constructor(options: NodeHealthOptions) {
    const { proberFile: file, io, version, system, log } = options;
    const checks = new HealthChecks(options);
    this.#checks = checks;
    this.#link = new ProberLink({
      file,
      io,
      userAgent: `crosspoint/${version}`,
      system,
      log,
      targets: () => checks.targets(),
      onVerdicts: (verdicts) => checks.learn(verdicts),
    });
  }

  /** What a worker hears before its first table. */
  readonly greetings = (): readonly ToWorker[] => this.#checks.greetings();

  /** Begins to probe what the table has, and to tell every worker what comes of it. */
  follow(post: (message: ToWorker) => void): void {
    this.#checks.follow(this.#link, post);
  }

  verdictOf(service: string, address: string): KnownHealth | undefined {
    return this.#checks.verdictOf(service, address);
  }

  metrics(): ProbeMetrics {
    const { counters, restarts } = this.#link;
    const timedOut = counters[ProbeCounter.timedOut] ?? 0;
    return {
      succeeded: counters[ProbeCounter.succeeded] ?? 0,
      failed: (counters[ProbeCounter.failed] ?? 0) - timedOut,
      timedOut,
      inFlight: counters[ProbeCounter.inFlight] ?? 0,
      targets: this.#checks.targetCount,
      unhealthy: this.#checks.unhealthyCount,
      restarts,
    };
  }

  /** For fault tests: ends the prober's thread in the middle of whatever it does. */
  killProber(): void {
    this.#link.kill();
  }

  stop(): Promise<void> {
    return this.#checks.stop();
  }
}
