// What requests find out about backends that fail, put together for one worker: failures are judged by routing's
// ejection.ts, backends are left out and taken back, and the other workers of the node hear of it.
//
// Each membership of a service is judged by itself: the same address may serve one service well and another not at
// all. Nothing is kept here: what was found lies with the backend, and goes with it.

import type { SharedEjection } from "../channel/messages.ts";
import { ejectionOthersMs } from "../limits.ts";
import { Policy } from "../model/service.ts";
import type { BackendState } from "../routing/backend-state.ts";
import {
  eject,
  ejectionRules,
  type Fault,
  failingOf,
  judge,
  leaveOutAsTold,
  takeBack,
} from "../routing/ejection.ts";
import type { RouteTable } from "../routing/route-table.ts";
import type { ServiceState } from "../routing/service-state.ts";
import { isEjected, mayLeaveOut } from "../routing/usable-backends.ts";

export interface EjectionsOptions {
  readonly table: () => RouteTable;
  /** ms, monotonic. */
  readonly nowMs: () => number;
  readonly random: () => number;
  /** To the other workers of the node. */
  readonly tell: (ejections: readonly SharedEjection[]) => void;
}

/** How the request was that failed. */
export interface FailedTry {
  readonly fault: Fault;
  readonly reason: string;
  /** When it was sent, in ms, monotonic. */
  readonly sentMs: number;
  /** The backend was left out when it was sent. */
  readonly isTrial: boolean;
}

export class Ejections {
  readonly #options: EjectionsOptions;

  constructor(options: EjectionsOptions) {
    this.#options = options;
  }

  failed(service: ServiceState, backend: BackendState, tried: FailedTry): void {
    const { nowMs, random, tell } = this.#options;
    const rules = ejectionRules(service.options?.ejection);
    if (rules === undefined || backend.removed) return;
    const leads = service.policy === Policy.Leader;
    // Each request finds that out for itself, goes to the next oldest, and to the leader as soon as it is back.
    if (leads && tried.fault === "refused") return;
    const now = nowMs();
    // Who leads is not given up for one connection: whoever stands by may be able to do less.
    const fault = leads ? "failed" : tried.fault;
    const failure = { ...tried, fault, backend, backends: service.backends, rules, leads };
    const outcome = judge(failure, now);
    if (outcome === "none") return;
    if (outcome === "return") return this.#takeBack(service, backend);
    const forMs = eject(failure, tried.reason, now, random);
    backend.recorded(now).ejectionsTotal += 1;
    service.refresh();
    tell([{ service: service.name, address: backend.address, forMs, reason: tried.reason }]);
  }

  /** A request that was sent while the backend was left out is answered well. */
  returned(service: ServiceState, backend: BackendState): void {
    if (isEjected(backend)) this.#takeBack(service, backend);
  }

  /** Its checks found it healthy, and had not before: that is worth more than what requests found out until then. */
  probedHealthy(backend: BackendState): void {
    const service = this.#options.table().service(backend.service);
    if (service === undefined || !isEjected(backend)) return;
    takeBack(backend, this.#options.nowMs());
    service.refresh();
  }

  /** What other workers have found; is not counted again. */
  told(ejections: readonly SharedEjection[]): void {
    for (const ejection of ejections) {
      const service = this.#options.table().service(ejection.service);
      const backend = service?.backendAt(ejection.address);
      if (service !== undefined && backend !== undefined) this.#hear(service, backend, ejection);
    }
  }

  #hear(service: ServiceState, backend: BackendState, { forMs, reason }: SharedEjection): void {
    const now = this.#options.nowMs();
    const rules = ejectionRules(service.options?.ejection);
    if (rules === undefined) return;
    if (forMs === 0) {
      if (!isEjected(backend)) return;
      takeBack(backend, now);
    } else {
      if (!mayLeaveOut(service.backends, backend)) return;
      // Whoever found out tries it first, for all of them.
      leaveOutAsTold(backend, { forMs, laterMs: ejectionOthersMs, reason }, now);
    }
    service.refresh();
  }

  #takeBack(service: ServiceState, backend: BackendState): void {
    const { nowMs, tell } = this.#options;
    takeBack(backend, nowMs());
    service.refresh();
    tell([{ service: service.name, address: backend.address, forMs: 0, reason: "" }]);
  }
}

/** A request begins that is to show whether the backend is back; ends with `trialEnded`. */
export function trialBegins(backend: BackendState, nowMs: number): void {
  const failing = failingOf(backend, nowMs);
  failing.trials += 1;
  failing.trialAtMs = nowMs;
}

export function trialEnded(backend: BackendState, nowMs: number): void {
  failingOf(backend, nowMs).trials -= 1;
}
