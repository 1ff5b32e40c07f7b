// How a node leaves: by a signal, or by a call that is answered when nothing is left but to end.
//
// By a signal writers end first and traffic last. By a call the calls must outlive the traffic, or the one that asked
// would get no answer: new ones are refused instead. Asked twice, it leaves once.

import type { Departure } from "./control/draining-calls.ts";
import type { Fleet } from "./control/fleet.ts";
import type { GrpcServer } from "./control/grpc-server.ts";
import { rpcCloseMsMax } from "./limits.ts";
import type { Store } from "./store/store.ts";
import { type System, sleep } from "./system.ts";
import type { Log } from "./telemetry/log-port.ts";

export interface DepartureSteps {
  /** It is not ready any more, and answers say that connections end; everything else goes on. */
  readonly announce: () => void;
  /** New calls are refused; who waits for an answer goes on waiting. */
  readonly refuseCalls: () => void;
  /** Ends all calls, after a moment for those that are nearly done. */
  readonly closeCalls: () => Promise<void>;
  /** Accepts no more, lets open work finish, cuts the rest; answers how many connections that was. */
  readonly drain: (drainMs: number) => Promise<number>;
  readonly closeRest: () => Promise<void>;
}

/** Of a node as src/main.ts puts it together. */
export function stepsOfLeaving(node: {
  readonly fleet: Pick<Fleet, "leaveSoon" | "drain">;
  readonly store: Pick<Store, "members">;
  /** The RPC port is opened last: whoever leaves before has none. */
  readonly door: { readonly rpc?: Pick<GrpcServer, "setServing" | "refuse" | "close"> | undefined };
  readonly closeRest: () => Promise<void>;
}): DepartureSteps {
  const { fleet, store, door, closeRest } = node;
  return {
    announce() {
      door.rpc?.setServing(false);
      fleet.leaveSoon();
    },
    refuseCalls: () => door.rpc?.refuse(),
    closeCalls: async () => door.rpc?.close(rpcCloseMsMax),
    async drain(drainMs) {
      const drained = fleet.drain(drainMs);
      await store.members?.leave(); // nothing new comes here any more, so nobody waits for us
      return await drained;
    },
    closeRest,
  };
}

export interface NodeDepartureOptions {
  readonly steps: DepartureSteps;
  /** When nobody says how long, in ms. */
  readonly drainMs: number;
  readonly system: System;
  readonly log: Log;
}

export class NodeDeparture {
  readonly #options: NodeDepartureOptions;
  readonly #left = Promise.withResolvers<number>();
  /** A signal ends the notice. */
  readonly #hurry = new AbortController();
  #cut: Promise<number> | undefined;

  constructor(options: NodeDepartureOptions) {
    this.#options = options;
  }

  get begun(): boolean {
    return this.#cut !== undefined;
  }

  /** Resolves when everything is closed, with how many connections were cut; never when nobody asks. */
  get left(): Promise<number> {
    return this.#left.promise;
  }

  /** Resolves when the node has drained and is about to end. */
  leave(departure: Departure): Promise<number> {
    if (this.#cut !== undefined) return this.#cut;
    const cut = this.#leave(departure);
    this.#cut = cut;
    const { steps } = this.#options;
    void this.#closeAfter(cut, async () => {
      await steps.closeCalls();
      await steps.closeRest();
    });
    return cut;
  }

  /** Resolves when everything is closed. */
  stop(drainMs: number): Promise<number> {
    if (this.#cut === undefined) {
      const { steps } = this.#options;
      steps.announce();
      this.#cut = steps.closeCalls().then(() => steps.drain(drainMs));
      void this.#closeAfter(this.#cut, () => steps.closeRest());
    }
    this.#hurry.abort();
    return this.left;
  }

  async #leave({ noticeMs, drainMs = this.#options.drainMs }: Departure): Promise<number> {
    const { steps, system, log } = this.#options;
    log.info("leaving", { cause: "a call", noticeMs, drainMs });
    steps.announce();
    await sleep(system, noticeMs, this.#hurry.signal);
    steps.refuseCalls();
    return await steps.drain(drainMs);
  }

  async #closeAfter(cut: Promise<number>, close: () => Promise<void>): Promise<void> {
    try {
      const count = await cut;
      await close();
      this.#left.resolve(count);
    } catch (error) {
      this.#left.reject(error);
    }
  }
}
