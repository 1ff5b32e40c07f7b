// The ejections of one worker, on a table whose clock is the test's.

import type { SharedEjection } from "../../src/channel/messages.ts";
import type { Policy } from "../../src/model/service.ts";
import type { Ejection } from "../../src/model/service-options.ts";
import type { BackendState } from "../../src/routing/backend-state.ts";
import type { Fault } from "../../src/routing/ejection.ts";
import { anybody } from "../../src/routing/picker.ts";
import { Ejections } from "../../src/worker/ejections.ts";
import { WatchedTable, web, zonedBackend } from "./watched-table.ts";

/** Service "web" with backends 10.0.0.1:80 and so on. */
export class EjectionWorld {
  readonly watched = new WatchedTable();
  readonly told: SharedEjection[] = [];
  readonly ejections: Ejections;

  constructor(count: number, ejection?: Ejection, policy?: Policy) {
    const { watched } = this;
    watched.change(web(ejection === undefined ? undefined : { ejection }, policy));
    for (let i = 1; i <= count; i++) watched.change(zonedBackend(`10.0.0.${i}:80`));
    this.ejections = new Ejections({
      table: () => watched.table,
      nowMs: watched.nowMs,
      random: () => 0,
      tell: (ejections) => void this.told.push(...ejections),
    });
  }

  at(i: number): BackendState {
    return this.watched.at(`10.0.0.${i}:80`);
  }

  /** Requests that are sent and fail now. */
  fails(i: number, times = 1, fault: Fault = "failed", reason = "HTTP 500", isTrial = false): void {
    for (let n = 0; n < times; n++) {
      const sentMs = this.watched.now;
      this.ejections.failed(this.watched.web, this.at(i), { fault, reason, sentMs, isTrial });
    }
  }

  succeeds(i: number, times = 1): void {
    for (let n = 0; n < times; n++) this.at(i).record?.failing?.succeeded(this.watched.now);
  }

  get used(): string {
    return this.watched.web.usable.map(({ address }) => address.slice(7, -3)).join(" ");
  }

  /** Who would get the next request. */
  get next(): string | undefined {
    const { web: service, now } = this.watched;
    return service.picker.pick(anybody(() => 0, now))?.address.slice(7, -3);
  }
}
