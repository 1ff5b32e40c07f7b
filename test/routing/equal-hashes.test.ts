// Goal: names, paths and domains whose hashes are equal are told apart, whatever comes and goes, in a table and in what
// it explains. Method: pairs that collide, found among words drawn from a seed.

import { describe, expect, test } from "vitest";
import type { Change } from "../../src/model/change.ts";
import { readDomain } from "../../src/routing/domain-key.ts";
import type { RouteTable } from "../../src/routing/route-table.ts";
import { hashOfText } from "../../src/routing/routes-by-path.ts";
import { FakeSystem } from "../support/fake-system.ts";
import { asking, change, matchHttp, route, routeRemoved, tableOf } from "./changes.ts";

const encoder = new TextEncoder();
const hashOfDomain = (domain: string): number => {
  const bytes = encoder.encode(domain);
  return readDomain(bytes, 0, bytes.length);
};

/** Two words with one hash. @param spell The word of a number. */
function twins(hashOf: (word: string) => number, spell: (word: string) => string): string[] {
  const system = new FakeSystem({ seed: 7 });
  const seen = new Map<number, string>();
  for (let i = 0; i < 1_000_000; i++) {
    const word = spell(Math.floor(system.random() * 2 ** 52).toString(36));
    const hash = hashOf(word);
    const other = seen.get(hash);
    if (other !== undefined && other !== word) return [other, word];
    seen.set(hash, word);
  }
  return [];
}

function whoAnswers(table: RouteTable, host: string, path = "/"): string | undefined {
  const name = matchHttp(table, host, path)?.name;
  expect(table.explain(asking(host, path), () => 0.5).route).toBe(name ?? "");
  return name;
}

/** In every order in which two can come and go. */
function expectApart(
  table: RouteTable,
  [one, other]: readonly string[],
  put: (word: string) => Change,
  nameOf: (word: string) => string,
  ask: (word: string) => string | undefined,
): void {
  const words = [one!, other!];
  expect(words.map(ask)).toEqual([undefined, undefined]);
  for (const [first, second] of [words, words.toReversed()] as [string, string][]) {
    change(table, put(first));
    expect([ask(first), ask(second)]).toEqual([nameOf(first), undefined]);
    change(table, put(second));
    expect([ask(first), ask(second)]).toEqual([nameOf(first), nameOf(second)]);
    change(table, routeRemoved(nameOf(first)));
    expect([ask(first), ask(second)]).toEqual([undefined, nameOf(second)]);
    change(table, put(first));
    expect([ask(first), ask(second)]).toEqual([nameOf(first), nameOf(second)]);
    change(table, routeRemoved(nameOf(first)), routeRemoved(nameOf(second)));
    expect([ask(first), ask(second)]).toEqual([undefined, undefined]);
    expect(table.routeCount).toBe(9);
  }
}

/** So many that the paths of a.test are hashed. */
const others = Array.from({ length: 9 }, (_, i) => route(`other-${i}`, `a.test/other/${i}`));

describe("of two with one hash each is found, and not the other", () => {
  test("routes by name", () => {
    const pair = twins(hashOfText, (word) => `r-${word}`);
    expect(new Set(pair).size).toBe(2);
    const put = (name: string): Change => route(name, `${name}.test`);
    const table = tableOf(...others);
    const ask = (name: string): string | undefined => whoAnswers(table, `${name}.test`);
    expectApart(table, pair, put, (name) => name, ask);
  });

  test("prefixes and exact paths", () => {
    const pair = twins(hashOfText, (word) => `/${word}`);
    expect(new Set(pair).size).toBe(2);
    const nameOf = (path: string): string => `r-${path.slice(1)}`;
    for (const kind of ["", "="]) {
      const table = tableOf(...others);
      const put = (path: string): Change => route(nameOf(path), `a.test${kind}${path}`);
      expectApart(table, pair, put, nameOf, (path) => whoAnswers(table, "a.test", path));
    }
  });

  test("domains, and what wildcards stand for", () => {
    const pair = twins(hashOfDomain, (word) => `${word}.test`);
    expect(new Set(pair).size).toBe(2);
    const nameOf = (domain: string): string => `r-${domain.replace(".", "-")}`;
    for (const [wild, label] of [
      ["", ""],
      ["*.", "App."],
    ] as const) {
      const table = tableOf(...others);
      const put = (domain: string): Change => route(nameOf(domain), `${wild}${domain}`);
      expectApart(table, pair, put, nameOf, (domain) => whoAnswers(table, `${label}${domain}`));
    }
  });
});
