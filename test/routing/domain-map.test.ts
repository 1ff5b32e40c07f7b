// Goal: a DomainMap answers as a Map does, whatever came and went before, and however the host is spelt.
// Method: random histories over few domains, so that hashes stand side by side and slots are used again; a Map
// says what is right. Then what only bytes can say: case, characters that are no letters, lengths.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { domainCharactersMax } from "../../src/model/names.ts";
import { DomainMap } from "../../src/routing/domain-map.ts";

const encoder = new TextEncoder();
/** Of all lengths around whole words. */
const domains = Array.from({ length: 40 }, (_, i) => `${"x".repeat(i % 9)}${i}.a`);

interface Step {
  readonly domain: string;
  readonly put: boolean;
}

const step: fc.Arbitrary<Step> = fc.record({
  domain: fc.constantFrom(...domains),
  put: fc.boolean(),
});

function found<V extends object>(map: DomainMap<V>, host: string): V | undefined {
  const bytes = encoder.encode(`Host: ${host}:80`);
  return map.find(bytes, 6, bytes.length - 3);
}

describe("DomainMap", () => {
  test("answers as a Map does", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const map = new DomainMap<Step>();
        const model = new Map<string, Step>();
        for (const each of steps) {
          if (each.put) {
            map.set(each.domain, each);
            model.set(each.domain, each);
          } else {
            map.delete(each.domain);
            model.delete(each.domain);
          }
          expect(map.get(each.domain)).toBe(model.get(each.domain));
        }
        for (const domain of domains) {
          expect(map.get(domain), domain).toBe(model.get(domain));
          expect(found(map, domain.toUpperCase()), domain).toBe(model.get(domain));
        }
      }),
      { numRuns: 300 },
    );
  });

  test("keeps a hundred thousand apart, and those that stay when half of them go", () => {
    const map = new DomainMap<{ readonly i: number }>();
    const name = (i: number): string => `app-${i}.example.com`;
    for (let i = 0; i < 100_000; i++) map.set(name(i), { i });
    for (let i = 0; i < 100_000; i += 2) map.delete(name(i));
    for (let i = 100_000; i < 120_000; i++) map.set(name(i), { i });
    for (let i = 0; i < 120_000; i++) {
      const isThere = i >= 100_000 || i % 2 === 1;
      if (map.get(name(i))?.i !== (isThere ? i : undefined)) expect.fail(name(i));
    }
  });

  test("takes only letters of ASCII for the same in both cases", () => {
    const map = new DomainMap<object>();
    const value = {};
    for (let code = 1; code < 256; code++) {
      map.set("abc-1", value);
      const bytes = Uint8Array.of(code, 0x62, 0x43, 0x2d, 0x31);
      const isA = code === 0x41 || code === 0x61;
      expect(map.find(bytes, 0, 5), String(code)).toBe(isA ? value : undefined);
      expect(map.find(Uint8Array.of(0x61, 0x62, 0x43, 0x2d, code), 0, 5) === value).toBe(
        code === 0x31,
      );
    }
    map.set("z@[`{", value);
    expect(found(map, "Z@[`{")).toBe(value);
    for (const other of ["z`[`{", "z@{`{", "z@[@{", "z@[`["]) {
      expect(found(map, other), other).toBeUndefined();
    }
  });

  test("tells a domain from the same with zeros behind it, and from its beginning", () => {
    const map = new DomainMap<object>();
    map.set("abcde", {});
    for (const host of ["abcd", "abcde\0", "abcde\0\0\0", "abcdef", "bcde", ""]) {
      expect(found(map, host), host).toBeUndefined();
    }
  });

  test("knows domains as long as they may be, and no host that is longer", () => {
    const map = new DomainMap<object>();
    const longest = "a".repeat(domainCharactersMax);
    const value = {};
    map.set(longest, value);
    expect(found(map, longest)).toBe(value);
    expect(found(map, `${longest}a`)).toBeUndefined();
    expect(map.get(`${longest}a`)).toBeUndefined();
    expect(found(map, "a".repeat(16_384))).toBeUndefined();
  });
});
