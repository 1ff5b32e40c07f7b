// Goal: the same text as JSON.stringify, in pieces.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { jsonPieces } from "../../src/control/json-pieces.ts";
import { jsonPieceCharacters } from "../../src/limits.ts";

async function textOf(value: unknown): Promise<string> {
  let text = "";
  for await (const piece of jsonPieces(value)) text += piece;
  return text;
}

describe("jsonPieces", () => {
  test("writes what JSON.stringify writes", async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async (value) => {
        expect(await textOf(value)).toBe(JSON.stringify(value));
      }),
    );
  });

  test("writes sets, map keys and generators as arrays, and leaves undefined out", async () => {
    const map = new Map([["a", { b: { c: 1 } }]]);
    expect(await textOf({ set: new Set([1, 2]), values: map.values(), gone: undefined })).toBe(
      '{"set":[1,2],"values":[{"b":{"c":1}}]}',
    );
    expect(await textOf({ toJSON: () => "short", long: { a: 1 } })).toBe('"short"');
    expect(await textOf([undefined, new Date(0)])).toBe('[null,"1970-01-01T00:00:00.000Z"]');
  });

  test("yields pieces of a bounded size", async () => {
    let pieces = 0;
    for await (const piece of jsonPieces(Array.from({ length: 10_000 }, () => "x".repeat(50)))) {
      expect(piece.length).toBeLessThan(jsonPieceCharacters + 100);
      pieces++;
    }
    expect(pieces).toBe(Math.ceil((10_000 * 53) / jsonPieceCharacters));
  });
});
