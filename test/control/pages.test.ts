// Goal: pages give every item once, in order, whatever the list and the sizes.
// Method: random lists are read page by page and compared with the list sorted as a whole.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Page, pageOf, parsePage } from "../../src/control/pages.ts";

const itself = (item: string): string => item;
const small = (): number => 1;

function pages(
  items: readonly string[],
  pageSize: number,
  bytesOf: (item: string) => number = small,
): string[][] {
  const read: string[][] = [];
  let pageToken = "";
  do {
    const page: Page<string> = pageOf(
      items,
      parsePage("x", { pageSize, pageToken }),
      itself,
      bytesOf,
    );
    read.push([...page.items]);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return read;
}

describe("pageOf", () => {
  test("gives every item once, in order", () => {
    const items = fc.uniqueArray(fc.string(), { maxLength: 60 });
    fc.assert(
      fc.property(items, fc.integer({ min: 1, max: 20 }), (list, size) => {
        const read = pages(list, size);
        expect(read.flat()).toEqual(list.toSorted((a, b) => (a < b ? -1 : 1)));
        for (const page of read.slice(0, -1)) expect(page).toHaveLength(size);
      }),
    );
  });

  test("a page ends early rather than grow beyond 2 MiB, but holds one item at least", () => {
    const items = ["a", "b", "c", "d", "e"];
    expect(pages(items, 100, () => 1024 * 1024)).toEqual([["a", "b"], ["c", "d"], ["e"]]);
    expect(pages(items, 100, () => 9 * 1024 * 1024)).toEqual(items.map((item) => [item]));
  });

  test("0 means 100, more than 1000 means 1000", () => {
    const items = Array.from({ length: 1_200 }, (_, i) => String(i).padStart(4, "0"));
    expect(pages(items, 0)[0]).toHaveLength(100);
    expect(pages(items, 5_000).map((page) => page.length)).toEqual([1_000, 200]);
  });

  test("a token goes on although its item is gone", () => {
    const first = pageOf(
      ["a", "b", "c"],
      parsePage("x", { pageSize: 2, pageToken: "" }),
      itself,
      small,
    );
    const second = parsePage("x", { pageSize: 2, pageToken: first.nextPageToken });
    expect(pageOf(["a", "aa", "c", "d"], second, itself, small).items).toEqual(["c", "d"]);
  });
});

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

describe("parsePage", () => {
  test("refuses what is no token of this list, whatever it is", () => {
    const foreign = pageOf(
      ["a", "b"],
      parsePage("y", { pageSize: 1, pageToken: "" }),
      itself,
      small,
    );
    for (const pageToken of [
      foreign.nextPageToken,
      encode("x"),
      encode([1, 2]),
      encode({}),
      "%%",
    ]) {
      expect(() => parsePage("x", { pageSize: 1, pageToken })).toThrow("page_token");
    }
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (pageToken) => {
        expect(() => parsePage("x", { pageSize: 1, pageToken })).toThrow("page_token");
      }),
    );
  });
});
