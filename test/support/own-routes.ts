// A writer that changes a few routes of its own through one node, one call at a time, and remembers for each what
// may be true of it: after an acknowledged write one thing, after a refused one what was true before, after one
// whose outcome was called unknown either.

import { Wait } from "../../src/gen/crosspoint/v1/router.ts";
import { services } from "./cluster-world.ts";
import { type Client, RpcError, routeFields } from "./rpc-node.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** A route's service; undefined: there is none. */
type State = string | undefined;

const routeCount = 12;
const callMsMax = 4_000;

export class OwnRoutes {
  readonly counts = { acknowledged: 0, refused: 0, unknown: 0 };
  readonly #client: Client;
  readonly #prefix: string;
  readonly #random: SeededRandom;
  readonly #wait: Wait;
  readonly #possible = new Map<string, ReadonlySet<State>>();
  readonly #broken: string[] = [];

  constructor(client: Client, prefix: string, random: SeededRandom, wait: Wait = Wait.NODE) {
    this.#client = client;
    this.#prefix = prefix;
    this.#random = random;
    this.#wait = wait;
  }

  static sum(writers: readonly OwnRoutes[]): OwnRoutes["counts"] {
    const sum = { acknowledged: 0, refused: 0, unknown: 0 };
    for (const { counts } of writers) {
      sum.acknowledged += counts.acknowledged;
      sum.refused += counts.refused;
      sum.unknown += counts.unknown;
    }
    return sum;
  }

  async writeUntil(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) await this.#writeOnce();
  }

  async #writeOnce(): Promise<void> {
    const name = `${this.#prefix}-${Math.floor(this.#random.next() * routeCount)}`;
    const before = this.#possible.get(name) ?? new Set<State>([undefined]);
    const wanted: State = this.#random.chance(0.3)
      ? undefined
      : services[this.#random.chance(0.5) ? 0 : 1];
    try {
      await this.#send(name, wanted);
      this.counts.acknowledged++;
      this.#possible.set(name, new Set([wanted]));
    } catch (error) {
      this.#failed(name, before, wanted, error);
    }
  }

  async #send(name: string, wanted: State): Promise<void> {
    const change =
      wanted === undefined
        ? { $case: "removeRoute", value: name }
        : { $case: "putRoute", value: routeFields(`${name}.example.com`, wanted, { name }) };
    const request = { changes: [{ change }], wait: this.#wait };
    await this.#client.call("applyChanges", request, { deadline: Date.now() + callMsMax });
  }

  #failed(name: string, before: ReadonlySet<State>, wanted: State, error: unknown): void {
    if (!(error instanceof RpcError)) throw error;
    if (error.code === "NOT_FOUND" && wanted === undefined) {
      // Whatever happened before, it is not there now.
      if (!before.has(undefined))
        this.#broken.push(`${name} is gone, although it was acknowledged`);
      this.#possible.set(name, new Set([undefined]));
      return;
    }
    const outcomeKnown =
      error.code === "UNAVAILABLE" &&
      error.info !== undefined &&
      error.info.reason !== "WRITE_OUTCOME_UNKNOWN";
    if (outcomeKnown || error.code === "ABORTED") {
      this.counts.refused++;
      return;
    }
    this.counts.unknown++;
    this.#possible.set(name, new Set([...before, wanted]));
  }

  /** Every route that is not what it may be, as `client`'s node sees it. */
  async broken(client: Client): Promise<readonly string[]> {
    const broken = [...this.#broken];
    for (const [name, possible] of this.#possible) {
      const state = await client.call("getRoute", { name }).then(
        ({ route }) => route?.service,
        (error: unknown) => {
          if (error instanceof RpcError && error.code === "NOT_FOUND") return undefined;
          throw error;
        },
      );
      if (possible.has(state)) continue;
      const wanted = [...possible].map((one) => one ?? "nothing").join(" or ");
      broken.push(`${name} leads to ${state ?? "nothing"}, not to ${wanted}`);
    }
    return broken;
  }
}
