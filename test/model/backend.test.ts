// Goal: a backend is one address of one service; two are the same when nothing a user can set differs.

import { expect, test } from "vitest";
import { parseAddress } from "../../src/model/address.ts";
import { type Backend, backendKeyOf, sameBackend } from "../../src/model/backend.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { backendOf } from "../support/table-fixtures.ts";

const web: Backend = { ...backendOf("web", "10.0.0.7:80"), labels: { zone: "a" }, ttlMs: 1000 };

test.for<[string, Partial<Backend>, boolean]>([
  ["the same settings", { labels: { zone: "a" } }, true],
  ["another service", { service: parseServiceName("db") }, false],
  ["another address", { address: parseAddress("10.0.0.7:81") }, false],
  ["another weight", { weight: 99 }, false],
  ["another TTL", { ttlMs: 1001 }, false],
  ["no TTL", { ttlMs: undefined }, false],
  ["another label", { labels: { zone: "b" } }, false],
  ["no label", { labels: {} }, false],
])("%s", ([, difference, isSame]) => {
  const other = { ...web, ...difference };
  expect(sameBackend(web, other)).toBe(isSame);
  expect(sameBackend(other, web)).toBe(isSame);
});

test("the key tells services and addresses apart, and nothing else", () => {
  expect(backendKeyOf(web)).toBe("web 10.0.0.7:80");
  const other: Backend = { ...web, weight: 1, labels: {}, ttlMs: undefined };
  expect(backendKeyOf(other)).toBe(backendKeyOf(web));
});
