// A service inside a worker: its backends, and the picker that chooses among them.

import type { ServiceName } from "../model/names.ts";
import type { Policy, ProxyProtocol, Service } from "../model/service.ts";
import type { BackendState } from "./backend-state.ts";
import { nobodyPicker, type Picker } from "./picker.ts";
import { pickerOfPolicy, policyDefault } from "./picker-of-policy.ts";
import { RetryBudget } from "./retry-budget.ts";

/** From so many backends on, looking one up goes through a map rather than along the list. */
const indexedBackendsMin = 16;

/** Changed by its ServiceRegistry alone; to everyone else all of it is read-only. */
export class ServiceState {
  readonly name: ServiceName;
  /** Settings that were put; undefined: there are none, the defaults hold. */
  settings: Service | undefined = undefined;
  /** Routes that lead here. */
  routeCount = 0;
  /** What its answers have earned for retries; goes on in the table that replaces its own. */
  retryBudget = new RetryBudget();
  #policy: Policy = policyDefault;
  #picker: Picker = nobodyPicker;
  #backends: BackendState[] = [];
  /** Who answers for it in the table that replaced its own. */
  #successor: ServiceState | undefined = undefined;
  #byAddress: Map<string, BackendState> | undefined = undefined;

  constructor(name: ServiceName) {
    this.name = name;
  }

  get policy(): Policy {
    return this.#successor === undefined ? this.#policy : this.#successor.policy;
  }
  /** How connections to its backends begin; undefined: without a preface. */
  get proxyProtocol(): ProxyProtocol | undefined {
    return this.#successor === undefined
      ? this.settings?.proxyProtocol
      : this.#successor.proxyProtocol;
  }
  /** Replaced, not edited: read it again for every pick. */
  get picker(): Picker {
    return this.#successor === undefined ? this.#picker : this.#successor.picker;
  }
  get backends(): readonly BackendState[] {
    return this.#successor === undefined ? this.#backends : this.#successor.backends;
  }
  /** Nothing names it any more: neither a route, nor a backend, nor settings. */
  get isUnused(): boolean {
    return this.routeCount === 0 && this.#backends.length === 0 && this.settings === undefined;
  }

  get isSucceeded(): boolean {
    return this.#successor !== undefined;
  }

  /** By its canonical "HOST:PORT". */
  backendAt(address: string): BackendState | undefined {
    if (this.#successor !== undefined) return this.#successor.backendAt(address);
    const backends = this.#backends;
    if (backends.length < indexedBackendsMin) {
      for (const backend of backends) if (backend.address === address) return backend;
      return undefined;
    }
    this.#byAddress ??= new Map(backends.map((backend) => [backend.address, backend]));
    return this.#byAddress.get(address);
  }

  /** Undefined: back to the defaults. The same policy again does not disturb the picker. */
  configure(settings: Service | undefined): void {
    this.settings = settings;
    const policy = settings?.policy ?? policyDefault;
    if (policy === this.#policy) return;
    this.#policy = policy;
    this.#picker = pickerOfPolicy(policy, this.#backends);
  }

  /** Other backends, or the same with other weights. */
  replaceBackends(backends: BackendState[]): void {
    this.#backends = backends;
    this.#byAddress = undefined;
    this.#picker = pickerOfPolicy(this.#policy, backends);
  }

  /**
   * Puts other states in the places of these, each of the same address and weight. The picker was
   * made for this list and goes on with it.
   */
  adoptBackends(adopted: (own: BackendState) => BackendState): void {
    for (const [position, own] of this.#backends.entries()) {
      this.#backends[position] = adopted(own);
    }
    this.#byAddress = undefined;
  }

  /**
   * Another table has taken over: requests that still hold this state choose as `newer` does, now
   * and after all its changes.
   */
  succeedBy(newer: ServiceState): void {
    this.#successor = newer;
    newer.retryBudget = this.retryBudget;
    this.#backends = [];
    this.#byAddress = undefined;
    this.#picker = nobodyPicker;
  }
}
