// Conditions on fields and query parameters, and whole fields, as they are typed.

import type { ValueMatch } from "../gen/crosspoint/v1/router.ts";
import { usageError } from "./failure.ts";

/**
 * "NAME=VALUE", "NAME=BEGINNING*", "NAME" (there is one) and "!NAME" (there is none); `\*` at the end is a star of
 * the value. Throws "invalid-argument" naming `flag`.
 */
export function conditionOfWord(word: string, flag: string): ValueMatch {
  const equals = word.indexOf("=");
  if (word.startsWith("!")) {
    if (equals === -1 && word !== "!") {
      return { name: word.slice(1), value: { $case: "present", value: false } };
    }
    throw usageError(`${flag}: ${JSON.stringify(word)} asks for none of that name; write !NAME`);
  }
  if (equals === -1 && !word.includes(":")) {
    return { name: word, value: { $case: "present", value: true } };
  }
  const name = word.slice(0, Math.max(equals, 0));
  if (name === "" || name.includes(":")) {
    throw usageError(
      `${flag}: ${JSON.stringify(word)} is not a condition; write NAME=VALUE, NAME=BEGINNING*, NAME or !NAME`,
    );
  }
  const value = word.slice(equals + 1);
  if (value.endsWith("\\*")) {
    return { name, value: { $case: "exact", value: `${value.slice(0, -2)}*` } };
  }
  return value.endsWith("*")
    ? { name, value: { $case: "prefix", value: value.slice(0, -1) } }
    : { name, value: { $case: "exact", value } };
}

/** "NAME: VALUE" words to a map. Throws "invalid-argument" naming `flag`. */
export function fieldsOfWords(words: readonly string[], flag: string): Record<string, string> {
  const fields = new Map<string, string>();
  for (const word of words) {
    const [, name, value = ""] = /^([!#$%&'*+.^_`|~\w-]+):\s*(.*)$/.exec(word) ?? [];
    if (name === undefined) throw usageError(`${flag}: ${JSON.stringify(word)} is not NAME:VALUE`);
    if (fields.has(name)) throw usageError(`${flag}: ${JSON.stringify(name)} is given twice`);
    fields.set(name, value);
  }
  return Object.fromEntries(fields);
}
