// Goal: names are told apart whatever their case, and nothing else is taken for them.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Field, fieldOf, lookAlikeOf } from "../../src/protocol/field.ts";
import { poisoned } from "./octets-of.ts";

/** "ContentLength" is content-length, "Http2Settings" is http2-settings. */
const named = Object.entries(Field)
  .filter(([, field]) => field !== Field.Other)
  .map(([key, field]) => [nameOf(key), field] as const);

function nameOf(key: string): string {
  return key
    .replace("WebSocket", "Websocket")
    .replaceAll(/(?<!^)[A-Z]/g, (letter) => `-${letter}`)
    .toLowerCase();
}

function find(name: string): number {
  return fieldOf(poisoned(name, 3), 3, 3 + name.length);
}

describe("fieldOf", () => {
  test.for(named)("knows %s in any case", ([name, field]) => {
    expect(find(name)).toBe(field);
    expect(find(name.toUpperCase())).toBe(field);
  });

  test.for(named)("takes nothing else for %s", ([name]) => {
    for (const other of [
      `${name}x`,
      `x${name}`,
      name.slice(1),
      name.slice(0, -1),
      name.replace(/^./, "~"),
    ]) {
      if (!named.some(([known]) => known === other)) expect(find(other), other).toBe(Field.Other);
    }
  });

  test("agrees with a comparison of strings for any name", () => {
    const known = new Map<string, number>(named);
    const letters = fc.constantFrom(..."abcehnorstHCTELX-_".split(""));
    const candidates = fc.oneof(
      fc.string({ unit: letters, maxLength: 20 }),
      fc.constantFrom(...known.keys()),
    );
    fc.assert(
      fc.property(
        candidates,
        (name) => find(name) === (known.get(name.toLowerCase()) ?? Field.Other),
      ),
    );
  });
});

describe("lookAlikeOf", () => {
  test("reads an underscore as a hyphen", () => {
    const name = "Content_Length";
    expect(lookAlikeOf(poisoned(name), 0, name.length)).toBe(Field.ContentLength);
    expect(find(name)).toBe(Field.Other);
  });
});
