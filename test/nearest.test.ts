// Goal: a slip of the fingers finds what was meant; what is no slip finds nothing.

import { expect, test } from "vitest";
import { didYouMean, nearest } from "../src/nearest.ts";

const known = ["tcp-ports", "tcp-address", "http", "io", "workers"];

test.for([
  ["wrokers", "workers"],
  ["worker", "workers"],
  ["tcpPorts", "tcp-ports"],
  ["TCP_PORTS", "tcp-ports"],
  ["tcp-prots", "tcp-ports"],
  ["htp", "http"],
  ["oi", undefined],
  ["listen", undefined],
  ["", undefined],
] as const)("%j is near %j", ([name, expected]) => {
  expect(nearest(name, known)).toBe(expected);
});

test("what is near nothing is told what is known", () => {
  expect(didYouMean("listen", ["a", "b"])).toBe("; known are a, b");
  expect(didYouMean("htpp", known)).toBe('; did you mean "http"?');
});
