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
  /** Answers say that connections end; everything else goes on. */
  readonly announce: () => void;
  /** Accepts no more, lets open work finish, cuts the rest; answers how many connections that was. */
  readonly drain: (drainMs: number) => Promise<number>;
  readonly closeRest: () => Promise<void>;
}

/** Of a node as src/main.ts puts it together. */
export function departureOf(
  node: {
    readonly fleet: Pick<Fleet, "leaveSoon" | "drain">;
    readonly store: Pick<Store, "members">;
    readonly closeRest: () => Promise<void>;
  },
  options: Omit<NodeDepartureOptions, "steps">,
): NodeDeparture {
  const { fleet, store, closeRest } = node;
  const steps: DepartureSteps = {
    announce: () => fleet.leaveSoon(),
    async drain(drainMs) {
      const drained = fleet.drain(drainMs);
      await store.members?.leave(); // nothing new comes here any more, so nobody waits for us
      return await drained;
    },
    closeRest,
  };
  return new NodeDeparture({ ...options, steps });
}

export interface NodeDepartureOptions {
  readonly steps: DepartureSteps;
  /** When nobody says how long, in ms. */
  readonly drainMs: number;
  readonly system: System;
  readonly log: Log;
}

export class NodeDeparture {
  /** The RPC port; undefined: it is not open yet, or there is none. */
  door: Pick<GrpcServer, "setServing" | "refuse" | "close"> | undefined;
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
  readonly leave = (departure: Departure): Promise<number> => {
    if (this.#cut !== undefined) return this.#cut;
    const cut = this.#leave(departure);
    this.#cut = cut;
    void this.#closeAfter(cut, async () => {
      await this.#closeDoor();
      await this.#options.steps.closeRest();
    });
    return cut;
  };

  /** Resolves when everything is closed. */
  stop(drainMs: number): Promise<number> {
    if (this.#cut === undefined) {
      const { steps } = this.#options;
      this.#announce();
      this.#cut = this.#closeDoor().then(() => steps.drain(drainMs));
      void this.#closeAfter(this.#cut, () => steps.closeRest());
    }
    this.#hurry.abort();
    return this.left;
  }

  async #leave({ noticeMs, drainMs = this.#options.drainMs }: Departure): Promise<number> {
    const { steps, system, log } = this.#options;
    log.info("leaving", { cause: "a call", noticeMs, drainMs });
    this.#announce();
    await sleep(system, noticeMs, this.#hurry.signal);
    // Whoever waits for an answer goes on waiting.
    this.door?.refuse();
    return await steps.drain(drainMs);
  }

  #announce(): void {
    this.door?.setServing(false);
    this.#options.steps.announce();
  }

  async #closeDoor(): Promise<void> {
    await this.door?.close(rpcCloseMsMax);
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
