// What a worker has been told of its backends' health, kept by name: a verdict may come before the table that names its backend,
// and a table that replaces another begins with states that know nothing.
//
// Holds only what is checked. Requests never look here: what a verdict means for them is put into the backend's standing.

import type { CheckVerdict } from "../channel/messages.ts";
import type { BackendState } from "../routing/backend-state.ts";
import type { RouteTable } from "../routing/route-table.ts";
import type { ServiceState } from "../routing/service-state.ts";

export interface HealthBookOptions {
  /** A backend has become healthy by its probes: what it did before does not matter any more. */
  readonly recovered: (backend: BackendState) => void;
}

export class HealthBook {
  readonly #options: HealthBookOptions;
  /** By "service address". */
  readonly #verdicts = new Map<string, CheckVerdict>();
  /** Grows with every message. */
  version = 0;

  constructor(options: HealthBookOptions) {
    this.#options = options;
  }

  /** Backends of which something is known. */
  get size(): number {
    return this.#verdicts.size;
  }

  /** Puts what is known of it into a backend that has just become one of its service, which looks at it next. */
  inform(backend: BackendState): void {
    if (this.#verdicts.size === 0) return;
    const verdict = this.#verdicts.get(keyOf(backend.service, backend.address));
    if (verdict !== undefined) stand(backend, verdict);
  }

  /** Takes what the main thread tells, and has the services that it concerns choose anew, each once. */
  learn(verdicts: readonly CheckVerdict[], table: RouteTable): void {
    this.version++;
    for (const verdict of verdicts) {
      const key = keyOf(verdict.service, verdict.address);
      if (verdict.state === "unknown") this.#verdicts.delete(key);
      else this.#verdicts.set(key, verdict);
    }
    this.#tell(verdicts, table);
  }

  /** A table that was made while messages came may have states that heard of none. O(all backends). */
  informAll(table: RouteTable): void {
    const forgotten: CheckVerdict[] = [];
    for (const { name, backends } of table.services()) {
      for (const { address, standing } of backends) {
        if (standing.check === "unknown" || this.#verdicts.has(keyOf(name, address))) continue;
        forgotten.push({ service: name, address, state: "unknown", reason: "" });
      }
    }
    this.#tell(forgotten, table);
    this.#tell(this.#verdicts.values(), table);
  }

  #tell(verdicts: Iterable<CheckVerdict>, table: RouteTable): void {
    const changed = new Set<ServiceState>();
    for (const verdict of verdicts) {
      const service = table.service(verdict.service);
      const backend = service?.backendAt(verdict.address);
      if (service === undefined || backend === undefined) continue;
      if (!stand(backend, verdict)) continue;
      changed.add(service);
      if (verdict.state === "healthy") this.#options.recovered(backend);
    }
    for (const service of changed) service.refresh();
  }
}

/** Whether it is used otherwise now. */
function stand(backend: BackendState, { state, reason }: CheckVerdict): boolean {
  const { check, checkReason } = backend.standing;
  if (check === state && checkReason === reason) return false;
  backend.stand({ check: state, checkReason: reason });
  return check !== state;
}

function keyOf(service: string, address: string): string {
  return `${service} ${address}`;
}
