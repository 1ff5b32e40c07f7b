// Groups of fields that most lines share: a status without a request body, a first try without trouble.
//
// Knows: which values go together. Does not know: lines, or where they end up.
//
// Four of a line's six numbers are in these groups, and writing one number costs as much as copying
// a group. A group is made when it is first asked for: once per status, and once per revision.

import { type Piece, pieceOf } from "./line-bytes.ts";

/** A status has three digits (RFC 9110 section 15); 0: none was sent. */
const statusMax = 999;

export class ReadyFields {
  readonly #bodiless: (Piece | undefined)[] = Array.from({ length: statusMax + 1 });
  #untroubled = pieceOf("");
  #revision = Number.NaN;

  /** The status of a request that had no body. @param status 0 to 999 */
  bodiless(status: number): Piece {
    return this.#bodiless[status] ?? this.#makeBodiless(status);
  }

  /** One try, the revision, no reason. */
  untroubled(revision: number): Piece {
    if (revision !== this.#revision) {
      this.#revision = revision;
      this.#untroubled = pieceOf(`,"tries":1,"revision":${revision},"reason":""`);
    }
    return this.#untroubled;
  }

  #makeBodiless(status: number): Piece {
    const made = pieceOf(`,"status":${status},"bytes_in":0`);
    this.#bodiless[status] = made;
    return made;
  }
}
