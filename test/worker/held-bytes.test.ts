// Goal: held bytes come out in the order in which they went in, each once; an idle holder holds no memory.
// Method: random adds and uses against a plain string.

import { expect, test } from "vitest";
import { HeldBytes } from "../../src/worker/held-bytes.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const textOf = ({ bytes, start, end }: HeldBytes): string =>
  Buffer.from(bytes.subarray(start, end)).toString("latin1");

test.for([1, 2, 3, 4])("any sequence of adds and uses, seed %i", (seed) => {
  const random = new SeededRandom(seed);
  const held = new HeldBytes();
  let expected = "";
  let next = 0;
  for (let i = 0; i < 2_000; i++) {
    if (random.chance(0.5)) {
      const text = Array.from({ length: random.below(300) }, () =>
        String.fromCharCode(97 + (next++ % 26)),
      ).join("");
      const source = Buffer.from(`..${text}..`, "latin1");
      held.add(source, 2, 2 + text.length);
      expected += text;
    } else {
      const used = random.chance(0.1) ? expected.length : random.below(expected.length + 1);
      held.dropTo(held.start + used);
      expected = expected.slice(used);
    }
    expect(held.length).toBe(expected.length);
    if (i % 10 === 0) expect(textOf(held)).toBe(expected);
  }
  expect(textOf(held)).toBe(expected);
});

test("a large buffer is given up once its bytes were used, and has little to spare", () => {
  const held = new HeldBytes();
  held.add(Buffer.alloc(100_000), 0, 100_000);
  expect(held.bytes.length).toBeLessThanOrEqual(100_000 + 4096);
  held.dropTo(held.end);
  expect(held.bytes.length).toBe(0);
});

test("a small buffer is the next one's who holds bytes", () => {
  const [one, other] = [new HeldBytes(), new HeldBytes()];
  one.add(Buffer.alloc(100), 0, 100);
  const { bytes } = one;
  one.clear();
  expect(one.bytes.length).toBe(0);
  other.add(Buffer.alloc(100), 0, 100);
  expect(other.bytes).toBe(bytes);
  one.add(Buffer.alloc(100), 0, 100);
  expect(one.bytes).not.toBe(bytes);
});

test("a head that comes octet by octet may be whole at its end only, also after another", () => {
  const held = new HeldBytes();
  for (let times = 0; times < 2; times++) {
    const head = Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const answers = [...head.keys()].map((at) => {
      held.add(head, at, at + 1);
      return held.mayBeHead({ headBytesMax: 100 });
    });
    expect(answers.indexOf(true)).toBe(head.length - 1);
    held.clear();
  }
});

test("what was dropped is no part of the next head, whole or half", () => {
  const add = (held: HeldBytes, text: string): HeldBytes => {
    held.add(Buffer.from(text), 0, text.length);
    return held;
  };
  const limits = { headBytesMax: 100 };
  const half = add(new HeldBytes(), "abGET /\r\n");
  expect(half.mayBeHead(limits)).toBe(false);
  half.dropTo(half.start + 2);
  expect(add(half, "\r\n").mayBeHead(limits)).toBe(true);
  const whole = add(new HeldBytes(), "GET / HTTP/1.1");
  expect(whole.mayBeHead(limits)).toBe(false);
  whole.dropTo(whole.end);
  expect(add(whole, "GET\r\n\r\n").mayBeHead(limits)).toBe(true);
  const cleared = add(new HeldBytes(), "GET / HTTP/1.1");
  expect(cleared.mayBeHead(limits)).toBe(false);
  cleared.clear();
  expect(add(cleared, "GET\r\n\r\n").mayBeHead(limits)).toBe(true);
});

test.for([
  ["", true],
  ["\r", true],
  ["\r\n", true],
  ["\n", false],
  ["\r\r", false],
  ["\r\n\r", false],
  ["G", false],
  ["\rG", false],
] as const)("%j is no head: %s", ([text, expected]) => {
  const held = new HeldBytes();
  const bytes = Buffer.from(`xx${text}`);
  held.add(bytes, 0, bytes.length);
  held.dropTo(held.start + 2);
  expect(held.holdsNoHead).toBe(expected);
});
