// The gates of one worker: makes one for each service that has limits or is paused, and lets them look from time to time
// while somebody waits at one. A worker where nobody waits has no timer on for it.

import type { InFlight } from "../channel/in-flight.ts";
import type { ServiceState } from "../routing/service-state.ts";
import type { System } from "../system.ts";
import { type GateSurroundings, ServiceGate } from "./service-gate.ts";

export interface ServiceGatesOptions
  extends Omit<GateSurroundings, "soon" | "watch" | "live" | "over"> {
  readonly limits: GateSurroundings["limits"] & { readonly queueLookMs: number };
  readonly system: Pick<System, "after" | "atTurnEnd">;
}

export class ServiceGates {
  readonly inFlight: InFlight;
  readonly #options: ServiceGatesOptions;
  readonly #around: GateSurroundings;
  readonly #live = new Set<ServiceGate>();
  /** Somebody waits there. */
  readonly #watched = new Set<ServiceGate>();
  readonly #due = new Set<ServiceGate>();
  #isYielding = false;

  constructor(options: ServiceGatesOptions) {
    this.#options = options;
    this.inFlight = options.inFlight;
    this.#around = {
      ...options,
      live: (gate) => this.#begin(gate),
      over: (gate) => void this.#live.delete(gate),
      soon: (gate) => this.#soon(gate),
      watch: (gate) => this.#watch(gate),
    };
    options.inFlight.onRows = () => {
      options.counted.rowsChanged();
      for (const gate of this.#live) gate.rowsChanged();
    };
  }

  /** Its settings have changed. */
  configured(service: ServiceState): void {
    const gate = gateOf(service);
    if (gate !== undefined) gate.settingsChanged();
    else if (service.options?.limits !== undefined || service.pause !== undefined) {
      const made = new ServiceGate(this.#around, service);
      service.gate = made;
      made.settingsChanged();
    }
  }

  #begin(gate: ServiceGate): void {
    this.#live.add(gate);
    if (this.#isYielding || this.inFlight.slots === 1) return;
    this.#isYielding = true;
    this.#armYield();
  }

  #armYield(): void {
    const { system, limits } = this.#options;
    system.after(limits.queueAwakeMs, () => {
      for (const gate of this.#live) gate.yieldConnections();
      this.#isYielding = this.#live.size > 0;
      if (this.#isYielding) this.#armYield();
    });
  }

  #soon(gate: ServiceGate): void {
    if (this.#due.size === 0) this.#options.system.atTurnEnd(() => this.#letIn());
    this.#due.add(gate);
  }

  #letIn(): void {
    const due = [...this.#due];
    this.#due.clear();
    for (const gate of due) gate.letIn();
  }

  #watch(gate: ServiceGate): void {
    if (this.#watched.size === 0) this.#arm();
    this.#watched.add(gate);
  }

  #arm(): void {
    const { system, limits } = this.#options;
    system.after(limits.queueLookMs, () => this.#look());
  }

  #look(): void {
    for (const gate of this.#watched) {
      gate.look();
      if (gate.line.length === 0) this.#watched.delete(gate);
    }
    if (this.#watched.size > 0) this.#arm();
  }
}

/** Undefined: everybody may go on. */
export function gateOf(service: ServiceState): ServiceGate | undefined {
  const { gate } = service;
  return gate instanceof ServiceGate ? gate : undefined;
}
