// Goal: all spellings of one host become one string, and no two hosts become the same.
// Method: a table of cases, each with other bytes around it.

import { expect, test } from "vitest";
import { hostOf } from "../../src/routing/host.ts";

const cases: readonly (readonly [string, string])[] = [
  ["app.example.com", "app.example.com"],
  ["App.EXAMPLE.com", "app.example.com"],
  ["app.example.com.", "app.example.com"],
  ["app.example.com:8080", "app.example.com"],
  ["app.example.com.:8080", "app.example.com"],
  ["app.example.com:", "app.example.com"],
  ["app.example.com..", "app.example.com."],
  ["localhost", "localhost"],
  ["10.0.0.1:80", "10.0.0.1"],
  ["10", "10"],
  [":80", ""],
  ["", ""],
  [".", ""],
  ["[::1]", "[::1]"],
  ["[2001:DB8::1]:8080", "[2001:db8::1]"],
  ["host:80a", "host:80a"],
  ["@[`{", "@[`{"],
];

test.for(cases)("reads %j as %j", ([sent, expected]) => {
  const bytes = new TextEncoder().encode(`Host: ${sent}:99.X`);
  expect(hostOf(bytes, 6, 6 + sent.length)).toBe(expected);
});

test("never turns a character beyond ASCII into a letter", () => {
  // U+212A KELVIN SIGN is "k" in lower case, U+0130 begins with "i".
  const bytes = new TextEncoder().encode("\u212Aube.\u0130o");
  expect(hostOf(bytes, 0, bytes.length)).not.toMatch(/[ki]/);
  expect(hostOf(Uint8Array.of(0xc9), 0, 1)).toBe("\u00c9");
});

test("reads nothing before the host", () => {
  expect(hostOf(new TextEncoder().encode("a.:80"), 2, 5)).toBe("");
});

test("reads a host as long as a request line", () => {
  const bytes = new TextEncoder().encode("A".repeat(16_384));
  expect(hostOf(bytes, 0, bytes.length)).toBe("a".repeat(16_384));
});
