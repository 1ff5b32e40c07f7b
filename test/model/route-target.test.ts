// Goal: every route is answered by exactly one, and nothing in it is idle.
// Method: every combination of what may be there, against the rule in other words.

import { expect, test } from "vitest";
import { RouterError } from "../../src/model/errors.ts";
import { checkTarget } from "../../src/model/route-target.ts";

const names = [
  "service",
  "split",
  "redirect",
  "answer",
  "sticky",
  "rewrite",
  "mirror",
  "pages",
  "retry",
  "timeoutMs",
] as const;
type Name = (typeof names)[number];

const subsets = Array.from(
  { length: 2 ** names.length },
  (_, bits) => new Set<Name>(names.filter((_name, i) => (bits & (1 << i)) !== 0)),
);

test.for(["http", "tcp"] as const)(
  "of all %s routes those are taken that the rule allows",
  (kind) => {
    for (const there of subsets) {
      const has = (...some: readonly Name[]) => some.some((name) => there.has(name));
      const answerers = [has("service", "split") || has("redirect"), has("answer")];
      const forwards = has("service", "split");
      const allowed =
        answerers.filter(Boolean).length === 1 &&
        !(there.has("service") && there.has("split")) &&
        (forwards || !has("sticky", "rewrite", "mirror", "retry", "timeoutMs")) &&
        (kind === "http" ||
          !has("redirect", "answer", "sticky", "rewrite", "mirror", "pages", "retry", "timeoutMs"));
      expect([[...there], violations(kind, there).length === 0]).toEqual([[...there], allowed]);
    }
  },
);

test.for([
  ["http", [], ["service"]],
  ["tcp", [], ["service"]],
  ["http", ["service", "split"], ["split"]],
  ["http", ["service", "answer"], ["answer"]],
  ["http", ["redirect", "answer", "sticky"], ["answer"]],
  ["http", ["redirect", "sticky", "mirror"], ["sticky", "mirror"]],
  ["tcp", ["service", "sticky", "redirect", "pages"], ["sticky", "redirect", "pages"]],
  ["tcp", ["service", "retry", "timeoutMs"], ["retry", "timeout"]],
  ["http", ["answer", "retry", "timeoutMs"], ["retry", "timeout"]],
] as const)("a %s route with %j is wrong in %j", ([kind, there, fields]) => {
  expect(violations(kind, new Set(there))).toEqual(fields);
});

test.for([
  ["http", "service: is required, or a split, a redirect or an answer"],
  ["tcp", "service: is required, or a split"],
] as const)("a %s route that nobody answers is told who could: %s", ([kind, message]) => {
  const told = () =>
    checkTarget({ match: { kind }, service: undefined, sticky: false, options: {} }, "");
  expect(told).toThrow(message);
});

function violations(kind: "http" | "tcp", there: ReadonlySet<Name>): readonly string[] {
  const { service, sticky, ...options } = Object.fromEntries(
    names.map((name) => [name, there.has(name) ? {} : undefined]),
  );
  try {
    checkTarget({ match: { kind }, service, sticky: sticky !== undefined, options }, "");
    return [];
  } catch (thrown) {
    const { code, details } = RouterError.from(thrown);
    expect(code).toBe("invalid-argument");
    return (details.violations ?? []).map(({ field }) => field);
  }
}
