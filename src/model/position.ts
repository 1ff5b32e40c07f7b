// A Position: the place of a table among all that a node has given its workers.
//
// Discovered backends change what workers serve while the store stays at its revision, so a revision
// cannot say what follows on what. A position can, and says nothing else: it means nothing to another
// node, nor after a restart. Revisions are what users see.

import { type Branded, minted } from "./brand.ts";

/** Counted from the start of a node: the first table is 1, and one more for each change. */
export type Position = Branded<number, "Position">;

/** Before every table. */
export const positionZero: Position = minted<Position>(0);

export function positionAfter(position: Position): Position {
  return minted<Position>(position + 1);
}
