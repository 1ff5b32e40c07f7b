// Goal: a cookie names a backend to whoever has the key, and to that service only; nothing that a
// client could send makes it name another, or throw.

import { describe, expect, test } from "vitest";
import { StickyCookie, stickyField, stickyValuesOf } from "../../src/worker/sticky-cookie.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const key = new Uint8Array(32).fill(1);
const otherKey = new Uint8Array(32).fill(2);
const thirdKey = new Uint8Array(32).fill(3);
const address = "10.0.0.7:8080";

const sealedWith = (current: Uint8Array, previous?: Uint8Array): StickyCookie =>
  new StickyCookie({ current, previous });

describe("a sealed address", () => {
  test("opens with the same key and service, on any node", () => {
    const value = sealedWith(key).seal("web", address);
    expect(sealedWith(key).open("web", value)).toBe(address);
    expect(value).toMatch(/^[A-Za-z0-9_-]+$/);
    expect(value).not.toContain("10.0.0.7");
  });

  test("is another text every time", () => {
    const cookie = sealedWith(key);
    expect(cookie.seal("web", address)).not.toBe(cookie.seal("web", address));
  });

  test("does not open for another service or with another key", () => {
    const value = sealedWith(key).seal("web", address);
    expect(sealedWith(key).open("api", value)).toBeUndefined();
    expect(sealedWith(otherKey).open("web", value)).toBeUndefined();
  });

  test("does not open when any of its bits was changed", () => {
    const cookie = sealedWith(key);
    const sealed = Buffer.from(cookie.seal("web", address), "base64url");
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = Buffer.from(sealed);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(cookie.open("web", changed.toString("base64url")), `bit ${bit}`).toBeUndefined();
    }
  });

  test("does not open when it was cut or lengthened", () => {
    const cookie = sealedWith(key);
    const value = cookie.seal("web", address);
    for (let length = 0; length < value.length - 1; length++) {
      expect(cookie.open("web", value.slice(0, length))).toBeUndefined();
    }
    expect(cookie.open("web", `${value}AAAA`)).toBeUndefined();
    expect(cookie.open("web", "A".repeat(100_000))).toBeUndefined();
  });

  test("rubbish of any kind opens to nothing and never throws", () => {
    const cookie = sealedWith(key);
    const random = new SeededRandom(5);
    for (let i = 0; i < 500; i++) {
      const rubbish = Array.from({ length: random.below(120) }, () =>
        String.fromCharCode(random.below(256)),
      ).join("");
      expect(cookie.open("web", rubbish)).toBeUndefined();
    }
  });
});

describe("after a change of keys", () => {
  test("cookies of the key before open on, and new ones are sealed with the new key alone", () => {
    const cookie = sealedWith(key);
    const before = cookie.seal("web", address);
    cookie.replaceKeys({ current: otherKey, previous: key });
    const after = cookie.seal("web", address);
    expect(cookie.open("web", before)).toBe(address);
    expect(cookie.open("web", after)).toBe(address);
    expect(sealedWith(otherKey).open("web", after)).toBe(address);
    expect(sealedWith(key).open("web", after)).toBeUndefined();
  });

  test("a cookie of neither key, or for another service, opens to nothing", () => {
    const cookie = sealedWith(otherKey, key);
    expect(cookie.open("web", sealedWith(thirdKey).seal("web", address))).toBeUndefined();
    expect(cookie.open("api", sealedWith(key).seal("web", address))).toBeUndefined();
  });

  test("of two changes the key before the first is forgotten", () => {
    const cookie = sealedWith(key);
    const first = cookie.seal("web", address);
    cookie.replaceKeys({ current: otherKey, previous: key });
    const second = cookie.seal("web", address);
    cookie.replaceKeys({ current: thirdKey, previous: otherKey });
    expect(cookie.open("web", first)).toBeUndefined();
    expect(cookie.open("web", second)).toBe(address);
  });
});

describe("the cookie in a Cookie field", () => {
  test.for([
    ["_backend=abc", ["abc"]],
    ["a=b; _backend=abc; c=d", ["abc"]],
    ["a=b;_backend=abc", ["abc"]],
    ["_backend=abc; _backend=def", ["abc", "def"]],
    ["_backend=", [""]],
    ["_backend=a=b", ["a=b"]],
    ["_backend", []],
    ["x_backend=abc", []],
    ["_Backend=abc", []],
    ["a=_backend=abc", []],
    ["", []],
    [";;;=", []],
  ] as const)("%j holds %j", ([field, values]) => {
    expect(stickyValuesOf(field)).toEqual(values);
  });

  test("is set under the route's own path, or the host's where a cookie cannot name that", () => {
    expect(stickyField("v", "/api")).toBe("Set-Cookie: _backend=v; Path=/api; HttpOnly\r\n");
    expect(stickyField("v", "/a;b")).toBe("Set-Cookie: _backend=v; Path=/; HttpOnly\r\n");
  });
});
