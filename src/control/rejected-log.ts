// Tells an operator which entries of the store are set aside, and that they are no more: each once, in the log.

import { entriesLoggedMax } from "../limits.ts";
import type { RejectedEntry } from "../store/store.ts";
import type { Log } from "../telemetry/log-port.ts";

export class RejectedLog {
  readonly #log: Log;
  /** As the store named them last. */
  #seen: readonly RejectedEntry[] = [];

  constructor(log: Log) {
    this.#log = log;
  }

  /** Of all that the store rejects now: what is new, and what is gone. */
  look(rejected: readonly RejectedEntry[]): void {
    if (rejected === this.#seen || (rejected.length === 0 && this.#seen.length === 0)) return;
    const before = new Map(this.#seen.map(({ key, reason }) => [key, reason]));
    const now = new Set(rejected.map(({ key }) => key));
    this.came(rejected.filter(({ key, reason }) => before.get(key) !== reason));
    this.went(this.#seen.filter(({ key }) => !now.has(key)));
    this.#seen = rejected;
  }

  came(entries: readonly RejectedEntry[]): void {
    for (const { key, reason } of entries.slice(0, entriesLoggedMax)) {
      this.#log.warn("an entry of the store is set aside", { key, reason });
    }
    const more = entries.length - entriesLoggedMax;
    if (more > 0) this.#log.warn("more entries of the store are set aside", { count: more });
  }

  went(entries: readonly RejectedEntry[]): void {
    for (const { key } of entries.slice(0, entriesLoggedMax)) {
      this.#log.info("an entry of the store is set aside no more", { key });
    }
    const more = entries.length - entriesLoggedMax;
    if (more > 0)
      this.#log.info("more entries of the store are set aside no more", { count: more });
  }
}
