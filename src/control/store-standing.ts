// How a node stands to its store, in one word and in words for an operator.

import { unreachable } from "../model/errors.ts";
import type { Store } from "../store/store.ts";
import type { TableView } from "./table-view.ts";

export interface StoreStanding {
  /** "stale": away, and the table came from the copy on this node's disk. */
  readonly state: "current" | "away" | "stale" | "held";
  /** Of the state, in ms since the epoch; undefined: it is current. */
  readonly sinceMs: number | undefined;
  /** What is wrong, and what to do; "": nothing. */
  readonly detail: string;
  /** "held": entries that accepting would take away, change and add. */
  readonly removed: number;
  readonly changed: number;
  readonly added: number;
}

const noCounts = { removed: 0, changed: 0, added: 0 };

export function standingOf(
  { condition }: Pick<Store, "condition">,
  { failure }: Pick<TableView, "failure">,
): StoreStanding {
  if (condition.kind === "current" && failure !== undefined) {
    return { state: "away", sinceMs: failure.sinceMs, detail: failure.cause, ...noCounts };
  }
  switch (condition.kind) {
    case "current":
      return { state: "current", sinceMs: undefined, detail: "", ...noCounts };
    case "away": {
      const { sinceMs, cause, stale } = condition;
      return { state: stale ? "stale" : "away", sinceMs, detail: cause, ...noCounts };
    }
    case "held": {
      const { sinceMs, detail, removed, changed, added } = condition;
      return { state: "held", sinceMs, detail, removed, changed, added };
    }
    default:
      return unreachable(condition);
  }
}
