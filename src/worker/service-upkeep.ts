// Keeps what the services of a worker use up to date where time alone changes it: a backend that was left out comes
// back, one that starts slowly gets more. And hands to each backend that joins what is known of it already.
//
// Looks at restless services only, from time to time; a worker without any has no timer on.

import type { BackendState } from "../routing/backend-state.ts";
import type { ServiceState, ServiceWatcher } from "../routing/service-state.ts";
import type { HealthBook } from "./health-book.ts";
import type { ServiceGates } from "./service-gates.ts";
import { Timer, type TimerOwner, type TimerWheel } from "./timer-wheel.ts";

export interface ServiceUpkeepOptions {
  /** Where the node is; "": not said. */
  readonly zone: string;
  readonly nowMs: () => number;
  readonly wheel: TimerWheel;
  /** How often restless services are looked at, in ms. */
  readonly everyMs: number;
  /** Who keeps the gates of services. */
  readonly gates: Pick<ServiceGates, "configured">;
  readonly health: Pick<HealthBook, "inform">;
}

export class ServiceUpkeep implements ServiceWatcher, TimerOwner {
  readonly #options: ServiceUpkeepOptions;
  readonly #timer = new Timer(this);
  #restless = new Set<ServiceState>();

  constructor(options: ServiceUpkeepOptions) {
    this.#options = options;
  }

  get zone(): string {
    return this.#options.zone;
  }

  nowMs = (): number => this.#options.nowMs();

  joined(backend: BackendState): void {
    this.#options.health.inform(backend);
  }

  configured(service: ServiceState): void {
    this.#options.gates.configured(service);
  }

  restless(service: ServiceState): void {
    if (this.#restless.size === 0) this.#options.wheel.arm(this.#timer, this.#options.everyMs);
    this.#restless.add(service);
  }

  onTimeout(): void {
    const due = this.#restless;
    this.#restless = new Set();
    // Those that stay restless say so again.
    for (const service of due) service.refresh();
  }
}
