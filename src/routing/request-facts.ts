// The port through which conditions ask about a request: its method, its fields, its query.
//
// Asked while a route is looked for, so an answer comes from the request's bytes, with nothing made for it. What
// is looked for stays text, which is ASCII (model/conditions.ts): arrays of bytes would cost a route some
// hundred bytes each. Implemented over a request's head in worker/, over a question in question-facts.ts.

import type { ValueCondition } from "../model/conditions.ts";

/** `bytes` is always the array that the path was matched in. */
export interface RequestFacts {
  /** Case counts (RFC 9110 section 9.1). */
  hasMethod(bytes: Uint8Array, method: string): boolean;
  /**
   * Whether one line of that name fits, of all that came: also of those that are not passed on. For "absent"
   * every value fits, as for "present": what that means, the caller knows.
   */
  hasField(bytes: Uint8Array, sought: ValueCondition): boolean;
  /** Whether one parameter of that name fits. Nothing is decoded. */
  hasParameter(bytes: Uint8Array, sought: ValueCondition): boolean;
}

const equals = 0x3d;
const ampersand = 0x26;

/** Whether the value in `bytes[start]` up to, not including, `bytes[end]` is the one that is looked for. */
export function fits(
  bytes: Uint8Array,
  start: number,
  end: number,
  { op, value }: ValueCondition,
): boolean {
  if (op === "present" || op === "absent") return true;
  const length = end - start;
  if (op === "exact" ? length !== value.length : length < value.length) return false;
  return isAt(bytes, start, value);
}

/**
 * Of a query without its "?": parameters lie between "&", a name goes up to the first "="; "?a" has an `a`
 * with an empty value.
 */
export function queryHas(
  bytes: Uint8Array,
  start: number,
  end: number,
  sought: ValueCondition,
): boolean {
  const { name } = sought;
  for (let at = start; at < end; at++) {
    let parameterEnd = at;
    while (parameterEnd < end && bytes[parameterEnd] !== ampersand) parameterEnd++;
    const nameEnd = at + name.length;
    if (nameEnd <= parameterEnd && isAt(bytes, at, name)) {
      if (nameEnd === parameterEnd) {
        if (fits(bytes, nameEnd, nameEnd, sought)) return true;
      } else if (bytes[nameEnd] === equals && fits(bytes, nameEnd + 1, parameterEnd, sought)) {
        return true;
      }
    }
    at = parameterEnd;
  }
  return false;
}

/** Whether `word` lies at `start`; there must be that many bytes. */
function isAt(bytes: Uint8Array, start: number, word: string): boolean {
  for (let i = 0; i < word.length; i++) if (bytes[start + i] !== word.charCodeAt(i)) return false;
  return true;
}
