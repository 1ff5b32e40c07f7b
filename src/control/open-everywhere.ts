// What is still open at a place on every node that shares the store: this one's own counts, and what the others report.
//
// A node counts once it says that its workers served the table in which the place began to drain or was paused; before,
// nothing is known of it. A node that is no longer listed has nothing open.

import type { OpenPlace } from "../channel/messages.ts";
import type { Revision } from "../model/revision.ts";
import type { Members, OpenWork } from "../store/members.ts";
import { keyOf, type OpenHere } from "./open-work.ts";

/** At one place. */
export interface StillOpen {
  /** Requests and connections, as far as nodes have told. */
  readonly inFlight: number;
  /** Nodes that have not told since. */
  readonly untold: readonly string[];
}

export interface OpenEverywhereParts {
  readonly here: Pick<OpenHere, "report" | "subscribe">;
  readonly members: Members | undefined;
  readonly nodeName: string;
}

export class OpenEverywhere {
  readonly #parts: OpenEverywhereParts;

  constructor(parts: OpenEverywhereParts) {
    this.#parts = parts;
  }

  /** Nobody else has anything open: the store is this node's alone. */
  get isAlone(): boolean {
    return this.#parts.members === undefined;
  }

  /** Called when anything here or elsewhere has changed. The answer ends it. */
  subscribe(listener: () => void): () => void {
    const { here, members } = this.#parts;
    const ends = [here.subscribe(listener), members?.subscribe(listener)];
    return () => {
      for (const end of ends) end?.();
    };
  }

  /** @param since The revision that began the drain, or the pause. */
  at(place: OpenPlace, since: Revision): StillOpen {
    const { here, members, nodeName } = this.#parts;
    const untold: string[] = [];
    let inFlight = 0;
    const add = (node: string, work: OpenWork | undefined): void => {
      const count = countOf(work, place, since);
      if (count === undefined) untold.push(node);
      else inFlight += count;
    };
    add(nodeName, here.report());
    const isListed = members?.self.kind === "announced";
    for (const member of members?.list() ?? []) {
      if (!isListed || member.name !== nodeName) add(member.name, member.open);
    }
    return { inFlight, untold };
  }
}

/** undefined: it is not known. */
function countOf(
  work: OpenWork | undefined,
  place: OpenPlace,
  since: Revision,
): number | undefined {
  if (work === undefined || work.revision < since) return undefined;
  return countsOf(work).get(keyOf(place)) ?? (work.more ? undefined : 0);
}

/** Reports are made once and asked for every place that drains. */
const known = new WeakMap<OpenWork, ReadonlyMap<string, number>>();

function countsOf(work: OpenWork): ReadonlyMap<string, number> {
  const counts =
    known.get(work) ?? new Map(work.places.map((place) => [keyOf(place), place.inFlight]));
  known.set(work, counts);
  return counts;
}
