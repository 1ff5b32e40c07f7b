// The store's counter: it only grows, and never repeats.

import { type Branded, minted } from "./brand.ts";
import { RouterError } from "./errors.ts";

/** A revision of the table; a safe integer, 0 for "before everything". */
export type Revision = Branded<number, "Revision">;

export const revisionZero: Revision = minted<Revision>(0);

/** The only way to obtain a Revision. Throws "invalid-argument" for what is not a safe integer >= 0. */
export function parseRevision(value: number | bigint): Revision {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 0) {
    throw new RouterError("invalid-argument", `${value} is not a revision (0 to 2^53 - 1)`);
  }
  return minted<Revision>(number);
}
