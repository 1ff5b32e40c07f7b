// What the results of one backend's probes come to: healthy or unhealthy, after so many in a row, and why.
//
// Pure: it is told results and answers what is news. A backend of which nothing is known is healthy with its first
// success, as it is used anyway; its failures count from the first one.

import type { HealthCheck } from "../model/service-options.ts";
import type { ProbeResult } from "./probe-result.ts";

/** What is to be told of a backend. */
export interface CheckStanding {
  readonly state: "healthy" | "unhealthy";
  /** "HTTP 200", "HTTP 500 (3 times)", "connect refused (the last of 3 failures)". */
  readonly reason: string;
}

export class CheckState {
  readonly #check: HealthCheck;
  #state: "unknown" | CheckStanding["state"];
  /** What was told last of an unhealthy backend, without how often. */
  #told = "";
  #wasHealthy: boolean | undefined = undefined;
  /** Results of the last kind in a row. */
  #run = 0;
  #said = "";
  /** Of these, how many said the very same, up to the last one. */
  #same = 0;

  /** @param state What is known already: of a prober that goes on for another. */
  constructor(check: HealthCheck, state: "unknown" | CheckStanding["state"]) {
    this.#check = check;
    this.#state = state;
  }

  get state(): "unknown" | CheckStanding["state"] {
    return this.#state;
  }

  /** Answers what is news; undefined: nothing. Of an unhealthy backend another reason is news as well. */
  observe({ healthy, said }: ProbeResult): CheckStanding | undefined {
    this.#run = healthy === this.#wasHealthy ? this.#run + 1 : 1;
    this.#same = this.#run > 1 && said === this.#said ? this.#same + 1 : 1;
    this.#wasHealthy = healthy;
    this.#said = said;
    return healthy ? this.#succeeded() : this.#failed();
  }

  #succeeded(): CheckStanding | undefined {
    if (this.#state === "healthy") return undefined;
    if (this.#state === "unhealthy" && this.#run < this.#check.healthyThreshold) return undefined;
    this.#state = "healthy";
    return { state: "healthy", reason: this.#said };
  }

  #failed(): CheckStanding | undefined {
    if (this.#state === "unhealthy" && this.#told === this.#said) return undefined;
    if (this.#state !== "unhealthy" && this.#run < this.#check.unhealthyThreshold) return undefined;
    this.#state = "unhealthy";
    this.#told = this.#said;
    return { state: "unhealthy", reason: this.#said + this.#often() };
  }

  #often(): string {
    if (this.#run === 1) return "";
    if (this.#same === this.#run) return ` (${this.#run} times)`;
    return ` (the last of ${this.#run} failures)`;
  }
}
