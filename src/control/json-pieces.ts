// JSON text in pieces, so that a large table is written without one long turn of the event loop.

import { setImmediate as nextTurn } from "node:timers/promises";
import { jsonPieceCharacters } from "../limits.ts";

/**
 * The JSON text of `value`, like JSON.stringify, in pieces of about `jsonPieceCharacters`.
 *
 * Iterables other than arrays and strings become arrays and are read as the text is needed, so a
 * generator over a large map costs no copy. Between pieces the event loop turns: what is read
 * lazily may be of a later moment than what was read before.
 */
export async function* jsonPieces(value: unknown): AsyncGenerator<string> {
  let piece = "";
  for (const token of tokens(value)) {
    piece += token;
    if (piece.length < jsonPieceCharacters) continue;
    yield piece;
    piece = "";
    await nextTurn();
  }
  if (piece !== "") yield piece;
}

function* tokens(value: unknown): Generator<string> {
  if (isLazyOrArray(value)) {
    let first = true;
    yield "[";
    for (const item of value) {
      if (!first) yield ",";
      first = false;
      yield* tokens(item);
    }
    yield "]";
    return;
  }
  if (!holdsMany(value)) {
    yield JSON.stringify(value) ?? "null";
    return;
  }
  let first = true;
  yield "{";
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined) continue;
    yield `${first ? "" : ","}${JSON.stringify(key)}:`;
    first = false;
    yield* tokens(member);
  }
  yield "}";
}

function isLazyOrArray(value: unknown): value is Iterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.iterator in value;
}

/** An object of which a member is an object itself; flat ones are written in one go. */
function holdsMany(value: unknown): value is object {
  if (typeof value !== "object" || value === null || "toJSON" in value) return false;
  return Object.values(value).some((member) => typeof member === "object" && member !== null);
}
