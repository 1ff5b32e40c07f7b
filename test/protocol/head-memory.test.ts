// Goal: a head counts as known only when every octet is the same, whatever else was remembered before; and what never
// comes again is not kept.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HeadMemory, KnownHead } from "../../src/protocol/head-memory.ts";

const received = new Uint8Array(4096);

class Noted extends KnownHead {
  static made = 0;
  override read(): boolean {
    Noted.made++;
    return true;
  }
}

function memoryOf(headsKnownMax = 8, knownHeadBytesMax = 1024): HeadMemory<Noted> {
  return new HeadMemory({ headsKnownMax, knownHeadBytesMax }, () => new Noted());
}

/** Learns the text at an index; answers what is known then. */
function learn(memory: HeadMemory<Noted>, text: string, at = 0): Noted | undefined {
  received.set(Buffer.from(text, "latin1"), at);
  return memory.learn(received, at, at + text.length);
}

function known(memory: HeadMemory<Noted>, text: string): Noted {
  for (let time = 0; time < 3; time++) learn(memory, text);
  const one = learn(memory, text);
  expect(one).toBeDefined();
  return one!;
}

const get = "GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n";

describe("HeadMemory", () => {
  test("keeps a head when it comes again, not before", () => {
    const memory = memoryOf();
    learn(memory, "the array that octets come in");
    const before = Noted.made;
    expect(learn(memory, get)).toBeUndefined();
    expect(Noted.made).toBe(before);
    expect(learn(memory, get)).toBeDefined();
    expect(Noted.made).toBe(before + 1);
  });

  test("finds it wherever it lies, with anything behind it", () => {
    const memory = memoryOf();
    const one = known(memory, get);
    for (const at of [0, 1, 2, 3, 777]) {
      received.set(Buffer.from(`${get}POST`), at);
      expect(memory.isAt(one, received, at, at + get.length)).toBe(true);
      expect(memory.isAt(one, received, at, at + get.length + 4)).toBe(true);
      expect(memory.isAt(one, received, at, at + get.length - 1)).toBe(false);
    }
  });

  test.for([32, 33, 34, 35])("tells apart what differs in one octet, of %i", (length) => {
    const memory = memoryOf();
    const text = `GET /${"a".repeat(length - 5)}`;
    const one = known(memory, text);
    for (let index = 0; index < length; index++) {
      received.set(Buffer.from(text));
      received[index]! ^= 0x80;
      expect(memory.isAt(one, received, 0, length)).toBe(false);
      expect(memory.learn(received, 0, length)).not.toBe(one);
    }
  });

  test("one that another has replaced is not found by its old octets", () => {
    const memory = memoryOf(4);
    const one = known(memory, get);
    for (let other = 0; other < 200; other++) {
      for (let time = 0; time < 3; time++) learn(memory, `GET /${other} HTTP/1.1\r\n\r\n`);
    }
    const replaced = Buffer.from(one.bytes.subarray(0, one.length)).toString("latin1");
    expect(replaced).not.toBe(get);
    received.set(Buffer.from(get));
    expect(memory.isAt(one, received, 0, get.length)).toBe(false);
  });

  test("one that is met all the time outlives those that come by twice", () => {
    const memory = memoryOf(4);
    const one = known(memory, get);
    for (let other = 0; other < 200; other++) {
      learn(memory, `GET /${other} HTTP/1.1\r\n\r\n`);
      learn(memory, `GET /${other} HTTP/1.1\r\n\r\n`);
      received.set(Buffer.from(get));
      expect(memory.isAt(one, received, 0, get.length)).toBe(true);
    }
  });

  test("remembers nothing that is too long, or that comes in another array each time", () => {
    const memory = memoryOf(8, 64);
    const long = `GET /${"a".repeat(64)}`;
    for (let time = 0; time < 5; time++) expect(learn(memory, long)).toBeUndefined();
    for (let time = 0; time < 5; time++) {
      const bytes = Buffer.from(get);
      expect(memory.learn(bytes, 0, bytes.length)).toBeUndefined();
    }
  });

  test("never takes one head for another", () => {
    const heads = fc.array(fc.constantFrom("a", "b", "c", "d"), { minLength: 4, maxLength: 9 });
    fc.assert(
      fc.property(fc.array(heads, { maxLength: 60 }), (texts) => {
        const memory = memoryOf(4);
        for (const letters of texts) {
          const text = letters.join("");
          const one = learn(memory, text, text.length % 4);
          if (one === undefined) continue;
          expect(Buffer.from(one.bytes.subarray(0, one.length)).toString()).toBe(text);
        }
      }),
    );
  });
});
