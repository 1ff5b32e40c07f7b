// A service inside a worker: its backends, and the picker that chooses among them.

import type { ServiceName } from "../model/names.ts";
import { Policy, type ProxyProtocol, type Service } from "../model/service.ts";
import {
  type HashKey,
  type Pause,
  type ServiceOptions,
  sameServiceOptions,
} from "../model/service-options.ts";
import { type BackendState, plainStanding } from "./backend-state.ts";
import { settleEjections } from "./ejection.ts";
import type { Gate } from "./gate.ts";
import { nobodyPicker, type Picker } from "./picker.ts";
import { followsItsList, pickerOfCandidates, policyDefault } from "./picker-of-policy.ts";
import { RetryBudget } from "./retry-budget.ts";
import { firstChoiceOf, withSecondChoice } from "./second-choice.ts";
import { shareOut, startSlowly } from "./slow-start.ts";
import { stayingOf, usableOf } from "./usable-backends.ts";

/** What a table's services need of the worker around them. */
export interface ServiceWatcher {
  /** Where the node is, for services that prefer backends nearby; "": not said. */
  readonly zone: string;
  /** ms, monotonic. */
  readonly nowMs: () => number;
  /** The backend has just become one of its service: what is known of it is to be put into it. */
  joined(backend: BackendState): void;
  /** Its settings have changed, its limits or its pause among them perhaps. */
  configured(service: ServiceState): void;
  /** What the service uses changes with time alone: call `refresh` from time to time, until it is not `restless`. */
  restless(service: ServiceState): void;
}

/** Of a table that no worker watches. */
export const unwatched: ServiceWatcher = {
  zone: "",
  nowMs: () => 0,
  joined() {},
  configured() {},
  restless() {},
};

const byClient: HashKey = { kind: "client" };

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
  /** A backend will be used again, or more, by time alone. */
  restless = false;
  readonly #watcher: ServiceWatcher;
  #policy: Policy = policyDefault;
  #picker: Picker = nobodyPicker;
  #backends: BackendState[] = [];
  #usable: readonly BackendState[] = [];
  /** Who answers for it in the table that replaced its own. */
  #successor: ServiceState | undefined = undefined;
  #byAddress: Map<string, BackendState> | undefined = undefined;
  #gate: Gate | undefined = undefined;

  constructor(name: ServiceName, watcher: ServiceWatcher = unwatched) {
    this.name = name;
    this.#watcher = watcher;
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
  get options(): ServiceOptions | undefined {
    return this.#successor === undefined ? this.settings?.options : this.#successor.options;
  }
  /** What of a request its hash is made of; undefined: nothing, the policy does not ask for it. */
  get hashKey(): HashKey | undefined {
    if (this.#successor !== undefined) return this.#successor.hashKey;
    const { settings } = this;
    // Asked for by every request, and most services have no settings.
    if (settings === undefined || settings.policy !== Policy.RingHash) return undefined;
    return settings.options?.hashKey ?? byClient;
  }
  /** Where the node is, and the time that its refresh would go by; for Explain. */
  get zone(): string {
    return this.#watcher.zone;
  }
  get nowMs(): number {
    return this.#watcher.nowMs();
  }
  /** New requests and connections are to wait; undefined: it is not paused. */
  get pause(): Pause | undefined {
    return this.options?.pause;
  }
  /** Asks every request and connection whether it may go on; undefined: all may. */
  get gate(): Gate | undefined {
    return this.#successor === undefined ? this.#gate : this.#successor.gate;
  }
  set gate(gate: Gate | undefined) {
    if (this.#successor === undefined) this.#gate = gate;
    else this.#successor.gate = gate;
  }
  /** Replaced, not edited: read it again for every pick. */
  get picker(): Picker {
    return this.#successor === undefined ? this.#picker : this.#successor.picker;
  }
  get backends(): readonly BackendState[] {
    return this.#successor === undefined ? this.#backends : this.#successor.backends;
  }
  /** Those that the picker chooses among. */
  get usable(): readonly BackendState[] {
    return this.#successor === undefined ? this.#usable : this.#successor.usable;
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
    const before = this.settings;
    this.settings = settings;
    const policy = settings?.policy ?? policyDefault;
    if (policy === this.#policy && sameServiceOptions(before?.options, settings?.options)) return;
    if (policy !== Policy.PeakEwma) for (const each of this.#backends) each.latency = undefined;
    this.#policy = policy;
    this.refresh();
    this.#watcher.configured(this);
  }

  /**
   * Something about a backend has changed (its health, its draining, its share), or time has: uses what is usable
   * now. O(backends).
   */
  refresh(): void {
    if (this.#successor !== undefined) return this.#successor.refresh();
    this.#choose(true);
  }

  /** @param isServing Backends that are new here may start slowly. @param previous What it can take over from. */
  #choose(isServing: boolean, previous = this.#picker): void {
    const nowMs = this.#watcher.nowMs();
    const options = this.settings?.options;
    settleEjections(this.#backends, options?.ejection, nowMs);
    const before = this.#usable;
    const staying = stayingOf(this.#backends);
    this.#usable = usableOf(staying);
    if (isServing && options?.slowStartMs !== undefined) {
      startSlowly(this.#usable, before, nowMs);
    }
    const isGrowing = shareOut(this.#backends, options?.slowStartMs, nowMs);
    const picker = pickerOfCandidates(this.#policy, {
      usable: this.#usable,
      staying,
      zone: this.#watcher.zone,
      zoneUsablePercentMin: options?.zone?.usablePercentMin,
      previous: firstChoiceOf(previous),
    });
    const isAlone = this.#usable === staying;
    this.#picker = isAlone ? picker : withSecondChoice(picker, this.#usable, staying);
    this.restless = isGrowing;
    if (this.restless) this.#watcher.restless(this);
  }

  /** Other backends, or the same with other weights. @param isServing Those that are new may start slowly. */
  replaceBackends(backends: BackendState[], isServing: boolean): void {
    this.#backends = backends;
    this.#byAddress = undefined;
    this.#choose(isServing);
  }

  /**
   * Puts other states in the places of these, each of the same address and weight. Nobody is new by that.
   *
   * @param previous Whose they were.
   */
  adoptBackends(adopted: (own: BackendState) => BackendState, previous?: ServiceState): void {
    let isPlain = this.#usable === this.#backends && followsItsList(this.#picker);
    for (const [position, own] of this.#backends.entries()) {
      const state = (this.#backends[position] = adopted(own));
      isPlain &&= state.standing === plainStanding;
    }
    this.#byAddress = undefined;
    // The picker was made for this very list: where all of it is used it goes on with it.
    if (!isPlain) this.#choose(false, previous?.picker);
  }

  /**
   * Another table has taken over: requests that still hold this state choose as `newer` does, now
   * and after all its changes.
   */
  succeedBy(newer: ServiceState): void {
    this.#successor = newer;
    newer.retryBudget = this.retryBudget;
    const gate = this.#gate;
    this.#gate = undefined;
    if (gate !== undefined) newer.gate = gate;
    gate?.moveTo(newer);
    this.#backends = [];
    this.#usable = [];
    this.#byAddress = undefined;
    this.#picker = nobodyPicker;
  }
}
