// The time for a whole request, where there is a limit to it: made with the first one that has it.

import type { WorkerContext } from "./context.ts";
import { Timer, type TimerOwner } from "./timer-wheel.ts";

/** What runs out of time. */
export interface DeadlineOwner {
  timedOut(limit: "request-time"): void;
}

export class RequestDeadline implements TimerOwner {
  readonly #context: WorkerContext;
  readonly #owner: DeadlineOwner;
  readonly #timer = new Timer(this);

  constructor(context: WorkerContext, owner: DeadlineOwner) {
    this.#context = context;
    this.#owner = owner;
  }

  begin(): void {
    this.#context.wheel.arm(this.#timer, this.#context.limits.requestMsMax);
  }

  end(): void {
    this.#context.wheel.disarm(this.#timer);
  }

  onTimeout(): void {
    this.#owner.timedOut("request-time");
  }
}
