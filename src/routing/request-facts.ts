// The port through which conditions ask about a request: its method, its fields, its query.
//
// Asked while a route is looked for, so an answer comes from the request's bytes, with nothing made for it.
// Implemented over a request's head in worker/, over a question in question-facts.ts.

/** A field line or a query parameter that is looked for. */
export interface ValueSought {
  /** Of a field in lower case: fields' names compare without case, parameters' as they are. */
  readonly name: Uint8Array;
  readonly value: Uint8Array;
  /** The value is all of it; else how it begins, and an empty one fits every value. */
  readonly isWhole: boolean;
}

/** `bytes` is always the array that the path was matched in. */
export interface RequestFacts {
  /** Case counts (RFC 9110 section 9.1). */
  hasMethod(bytes: Uint8Array, method: Uint8Array): boolean;
  /** Whether one line of that name fits, of all that came: also of those that are not passed on. */
  hasField(bytes: Uint8Array, sought: ValueSought): boolean;
  /** Whether one parameter of that name fits. Nothing is decoded. */
  hasParameter(bytes: Uint8Array, sought: ValueSought): boolean;
}

const equals = 0x3d;
const ampersand = 0x26;

/** Whether the value in `bytes[start]` up to, not including, `bytes[end]` is the one that is looked for. */
export function fits(
  bytes: Uint8Array,
  start: number,
  end: number,
  { value, isWhole }: ValueSought,
): boolean {
  const length = value.length;
  if (isWhole ? end - start !== length : end - start < length) return false;
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
  sought: ValueSought,
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
function isAt(bytes: Uint8Array, start: number, word: Uint8Array): boolean {
  for (let i = 0; i < word.length; i++) if (bytes[start + i] !== word[i]) return false;
  return true;
}
