// What this node knows of its backends' health: which are to be probed, how, and what came of it.
//
// Knows: services with a check and their backends, as the table has them; one target for each address and way of being checked,
// shared by all services that ask the same; the last verdict of each. Does not know how a backend is probed (src/health/), nor
// what workers make of a verdict.

import type { CheckVerdict, ToWorker } from "../channel/messages.ts";
import type { ProbeTarget, TargetVerdict } from "../channel/prober-messages.ts";
import { verdictsLoggedMax } from "../limits.ts";
import type { Address } from "../model/address.ts";
import type { ChangeSet } from "../model/change.ts";
import type { ServiceName } from "../model/names.ts";
import type { HealthCheck } from "../model/service-options.ts";
import type { System } from "../system.ts";
import type { Log } from "../telemetry/log-port.ts";
import type { ChangeSource } from "./fleet-options.ts";

/** What the checks say of a backend, and since when. */
export interface KnownHealth extends CheckVerdict {
  /** ms since the epoch; undefined while it is unknown. */
  readonly sinceMs: number | undefined;
}

/** For ListBackends and whoever else asks. */
export interface HealthView {
  /** Undefined: the backend is not checked. */
  verdictOf(service: string, address: string): KnownHealth | undefined;
}

/** Whoever probes: see ProberLink. */
export interface ProberPort {
  change(added: readonly ProbeTarget[], removed: readonly number[]): void;
  rest(): Promise<void>;
}

export interface HealthChecksOptions {
  readonly source: ChangeSource;
  readonly system: System;
  readonly log: Log;
}

type State = CheckVerdict["state"];

/** One address that is asked in one way. */
interface Target {
  readonly id: number;
  readonly key: string;
  readonly address: Address;
  readonly check: HealthCheck;
  /** Who wants to know. */
  readonly services: Set<ServiceName>;
  state: State;
  reason: string;
  sinceMs: number | undefined;
}

/** A service with a check. */
interface CheckedService {
  readonly check: HealthCheck;
  readonly checkKey: string;
  readonly targets: Map<string, Target>;
}

const nobody: ProberPort = { change() {}, rest: () => Promise.resolve() };

export class HealthChecks implements HealthView {
  readonly #options: HealthChecksOptions;
  readonly #services = new Map<string, CheckedService>();
  /** By check and address. */
  readonly #targets = new Map<string, Target>();
  readonly #targetsById = new Map<number, Target>();
  #lastId = 0;
  #prober: ProberPort = nobody;
  #post: (message: ToWorker) => void = () => {};
  #unsubscribe: () => void = () => {};
  /** Of the change under way. */
  #added = new Map<number, Target>();
  #removed: number[] = [];
  /** Backends that a worker may know something else of now: "service address". */
  #doubtful = new Map<string, { readonly service: ServiceName; readonly address: Address }>();

  constructor(options: HealthChecksOptions) {
    this.#options = options;
  }

  /** Addresses that are probed, each for every way of being checked. */
  get targetCount(): number {
    return this.#targets.size;
  }

  /** Backends that are checked and found unhealthy; one that several services have counts for each. */
  get unhealthyCount(): number {
    let count = 0;
    for (const { state, services } of this.#targets.values()) {
      if (state === "unhealthy") count += services.size;
    }
    return count;
  }

  /** All that is probed, for a prober that starts. */
  targets(): readonly ProbeTarget[] {
    return [...this.#targets.values()].map(asProbed);
  }

  /** Begins: what the table has now, then each change of it. */
  follow(prober: ProberPort, post: (message: ToWorker) => void): void {
    this.#prober = prober;
    this.#post = post;
    const { source } = this.#options;
    for (const { name } of source.table.services()) this.#takeService(name);
    this.#settle();
    this.#unsubscribe = source.subscribe((changeSet) => this.#take(changeSet));
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    await this.#prober.rest();
  }

  verdictOf(service: string, address: string): KnownHealth | undefined {
    const target = this.#services.get(service)?.targets.get(address);
    if (target === undefined) return undefined;
    const { state, reason, sinceMs } = target;
    return { service, address, state, reason, sinceMs };
  }

  /** What a worker that joins is to know. */
  greetings(): readonly ToWorker[] {
    const verdicts = [...this.#targets.values()]
      .filter(({ state }) => state !== "unknown")
      .flatMap(verdictsOf);
    return verdicts.length === 0 ? [] : [{ kind: "health", verdicts }];
  }

  /** What the prober has found. */
  learn(news: readonly TargetVerdict[]): void {
    const { system } = this.#options;
    const changed: Target[] = [];
    const verdicts: CheckVerdict[] = [];
    for (const { id, state, reason } of news) {
      const target = this.#targetsById.get(id);
      if (target === undefined) continue;
      if (state !== target.state) {
        target.sinceMs = system.wallMs();
        // That a new backend is well is what everybody expects.
        if (target.state !== "unknown" || state !== "healthy") changed.push(target);
      }
      target.state = state;
      target.reason = reason;
      verdicts.push(...verdictsOf(target));
    }
    if (verdicts.length > 0) this.#post({ kind: "health", verdicts });
    this.#log(changed);
  }

  #log(changed: readonly Target[]): void {
    const { log } = this.#options;
    for (const { address, state, reason, services } of changed.slice(0, verdictsLoggedMax)) {
      const fields = { backend: address, services: [...services].slice(0, 3).join(","), reason };
      if (state === "unhealthy") log.warn("a backend is unhealthy", fields);
      else log.info("a backend is healthy again", fields);
    }
    const more = changed.length - verdictsLoggedMax;
    if (more > 0) log.warn("the health of more backends has changed", { backends: more });
  }

  #take({ changes }: ChangeSet): void {
    for (const change of changes) {
      switch (change.kind) {
        case "service-put":
          this.#takeService(change.service.name);
          break;
        case "service-removed":
          this.#takeService(change.name);
          break;
        case "backend-put":
          this.#takeBackend(change.backend.service, change.backend.address);
          break;
        case "backend-removed":
          this.#takeBackend(change.service, change.address);
          break;
        default:
      }
    }
    this.#settle();
  }

  /** As the table has it now: O(its backends) when its check is another, else O(1). */
  #takeService(name: ServiceName): void {
    const { table } = this.#options.source;
    const check = table.service(name)?.options?.healthCheck;
    const before = this.#services.get(name);
    const checkKey = check === undefined ? "" : keyOf(check);
    if (before?.checkKey === checkKey || (before === undefined && check === undefined)) return;
    this.#services.delete(name);
    if (check !== undefined) {
      this.#services.set(name, { check, checkKey, targets: new Map() });
      for (const address of table.backendsOf(name).keys()) {
        this.#watch(name, address, before?.targets.get(address));
      }
    }
    for (const target of before?.targets.values() ?? []) this.#leave(name, target);
  }

  #takeBackend(service: ServiceName, address: Address): void {
    const checked = this.#services.get(service);
    if (checked === undefined) return;
    const target = checked.targets.get(address);
    if (this.#options.source.table.backendsOf(service).has(address)) {
      if (target === undefined) this.#watch(service, address, undefined);
    } else if (target !== undefined) {
      checked.targets.delete(address);
      this.#leave(service, target);
    }
  }

  /** @param before How it was checked until now: what is known of it holds until the new check says something else. */
  #watch(service: ServiceName, address: Address, before: Target | undefined): void {
    const checked = this.#services.get(service)!;
    const key = `${checked.checkKey} ${address}`;
    let target = this.#targets.get(key);
    if (target === undefined) {
      const { state, reason, sinceMs } = before ?? unknown;
      const id = ++this.#lastId;
      const { check } = checked;
      target = { id, key, address, check, services: new Set(), state, reason, sinceMs };
      this.#targets.set(key, target);
      this.#targetsById.set(id, target);
      this.#added.set(id, target);
    }
    target.services.add(service);
    checked.targets.set(address, target);
    if (target.state !== "unknown") this.#doubt(service, address);
  }

  #leave(service: ServiceName, target: Target): void {
    const { id, key, address, services, state } = target;
    if (state !== "unknown") this.#doubt(service, address);
    services.delete(service);
    if (services.size > 0) return;
    this.#targets.delete(key);
    this.#targetsById.delete(id);
    if (!this.#added.delete(id)) this.#removed.push(id);
  }

  #doubt(service: ServiceName, address: Address): void {
    this.#doubtful.set(`${service} ${address}`, { service, address });
  }

  /** Tells prober and workers what a change came to. */
  #settle(): void {
    const added = [...this.#added.values()].map(asProbed);
    const removed = this.#removed;
    const doubtful = this.#doubtful;
    this.#added = new Map();
    this.#removed = [];
    if (this.#targets.size === 0) void this.#prober.rest();
    else if (added.length > 0 || removed.length > 0) this.#prober.change(added, removed);
    if (doubtful.size === 0) return;
    this.#doubtful = new Map();
    const verdicts = [...doubtful.values()].map(({ service, address }): CheckVerdict => {
      const { state, reason } = this.verdictOf(service, address) ?? unknown;
      return { service, address, state, reason };
    });
    this.#post({ kind: "health", verdicts });
  }
}

const unknown = { state: "unknown", reason: "", sinceMs: undefined } as const;

function asProbed({ id, address, check, state }: Target): ProbeTarget {
  return { id, address, check, state };
}

function verdictsOf({ services, address, state, reason }: Target): CheckVerdict[] {
  return Array.from(services, (service) => ({ service, address, state, reason }));
}

/** The same for checks that ask the same, however they were written. */
function keyOf(check: HealthCheck): string {
  const { probe, intervalMs, timeoutMs, healthyThreshold, unhealthyThreshold } = check;
  const asked =
    probe.kind === "http"
      ? [probe.path, probe.host, probe.statuses, probe.body]
      : [probe.kind === "grpc" ? probe.service : ""];
  const times = [intervalMs, timeoutMs, healthyThreshold, unhealthyThreshold];
  return JSON.stringify([probe.kind, ...asked, ...times]);
}
