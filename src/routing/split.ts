// Several services behind one route, each for its share of the requests.

import type { Share } from "../model/route-options.ts";
import type { ServiceState } from "./service-state.ts";

/** A service and what it weighs; a weight of 0 takes nothing. */
export interface SplitShare {
  readonly service: ServiceState;
  readonly weight: number;
}

export class Split {
  readonly shares: readonly SplitShare[];

  /** @param shares At least one weighs more than 0. */
  constructor(shares: readonly Share[], stateOf: (name: Share["service"]) => ServiceState) {
    this.shares = shares.map(({ service, weight }) => ({ service: stateOf(service), weight }));
  }

  /**
   * Draws one by the weights of those that have backends; when none of them has any, one that has a weight,
   * so that the request learns it. Allocates nothing.
   */
  pick(random: () => number): ServiceState {
    const { shares } = this;
    let total = 0;
    for (let i = 0; i < shares.length; i++) total += liveWeightOf(shares[i]!);
    let point = random() * total;
    let last: SplitShare | undefined;
    for (let i = 0; i < shares.length; i++) {
      const share = shares[i]!;
      const weight = total === 0 ? share.weight : liveWeightOf(share);
      if (weight === 0) continue;
      last = share;
      point -= weight;
      if (point < 0) break;
    }
    return last!.service;
  }
}

/** What the share weighs now: nothing while its service has no backend, unless it is paused: then there will be one. */
export function liveWeightOf({ service, weight }: SplitShare): number {
  return service.backends.length === 0 && service.pause === undefined ? 0 : weight;
}
