// Goal: every entry is found under its hash and under no other, however the hashes fall, and whatever came and
// went before. Method: random histories over a few hashes that want the same slots, 0 among them; an array says
// what is right.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { HashedSlots } from "../../src/routing/hashed-slots.ts";

interface Entry {
  readonly hash: number;
  readonly number: number;
}

const hashes = [0, 1, 2, 3, -1, 0x7fffffff, -0x80000000, 16, 17, 18, 1 << 20, 5, 6, 7];

function entriesOf(slots: HashedSlots<Entry>, hash: number): Entry[] {
  const entries: Entry[] = [];
  for (let slot = slots.find(hash); slot >= 0; slot = slots.findNext(slot)) {
    const entry = slots.valueAt(slot);
    expect(slots.numberAt(slot)).toBe(entry.number);
    // 0 and 1 stand for the same.
    if (entry.hash === hash) entries.push(entry);
    else expect(new Set([entry.hash, hash])).toEqual(new Set([0, 1]));
  }
  return entries;
}

const byNumber = (a: Entry, b: Entry): number => a.number - b.number;

test("finds what was put and not removed, under its hash alone", () => {
  const steps = fc.array(fc.tuple(fc.constantFrom(...hashes), fc.nat({ max: 2 })), {
    maxLength: 120,
  });
  fc.assert(
    fc.property(steps, (history) => {
      const slots = new HashedSlots<Entry>();
      let model: Entry[] = [];
      for (const [number, [hash, kind]] of history.entries()) {
        if (kind > 0) {
          const entry = { hash, number };
          slots.insert(hash, entry, number);
          model.push(entry);
        } else {
          const [gone] = entriesOf(slots, hash);
          expect(gone === undefined).toBe(!model.some((entry) => entry.hash === hash));
          if (gone === undefined) continue;
          let slot = slots.find(hash);
          while (slots.valueAt(slot) !== gone) slot = slots.findNext(slot);
          slots.removeAt(slot);
          model = model.filter((entry) => entry !== gone);
        }
        expect(slots.size).toBe(model.length);
      }
      for (const hash of hashes) {
        const own = model.filter((entry) => entry.hash === hash);
        expect(entriesOf(slots, hash).toSorted(byNumber)).toEqual(own.toSorted(byNumber));
      }
      expect([...slots.values()].toSorted(byNumber)).toEqual(model.toSorted(byNumber));
    }),
    { numRuns: 500 },
  );
});

test("one key that comes and goes where the table would grow moves the others once", () => {
  const slots = new HashedSlots<Entry>();
  for (let number = 0; number < 10; number++) slots.insert(number + 10, { hash: number, number });
  const places = new Set<number>();
  for (let turn = 0; turn < 1_000; turn++) {
    slots.insert(1 << 24, { hash: 1 << 24, number: turn }, turn);
    expect(slots.valueAt(slots.find(1 << 24)).number).toBe(turn);
    slots.removeAt(slots.find(1 << 24));
    expect(slots.size).toBe(10);
    places.add(slots.find(12));
  }
  expect(places.size).toBe(1);
});
