// Goal: every limit can be set by its name, and by no wrong one; wrong values and limits that do not go
// together are told before anything is bound.

import { describe, expect, test } from "vitest";
import {
  type LimitSettings,
  limitOption,
  type SettableLimit,
  settableLimits,
} from "../src/config-limits.ts";
import * as limits from "../src/limits.ts";
import { RouterError } from "../src/model/errors.ts";
import { limitNames } from "../src/telemetry/counters.ts";

const all = Object.entries<SettableLimit>(settableLimits);

const constants: Readonly<Record<keyof typeof limits, number>> = limits;

function read(...texts: readonly string[]): LimitSettings {
  return limitOption.read(texts, "--limit");
}

function messageOf(...texts: readonly string[]): string {
  try {
    read(...texts);
  } catch (error) {
    expect(error).toBeInstanceOf(RouterError);
    expect((error as RouterError).code).toBe("invalid-argument");
    return (error as RouterError).message;
  }
  throw new Error(`${texts.join(" ")} was accepted`);
}

describe("a limit", () => {
  test.for(all)("%s may be set to its least value, which replaces its constant", ([name, one]) => {
    const text = one.kind === "duration" ? `${one.least}ms` : String(one.least);
    // What must be below it, is.
    const below = name === "head-bytes" ? ["target-bytes=64"] : [];
    expect(read(...below, `${name}=${text}`)).toMatchObject({ [one.limit]: one.least });
  });

  test.for(all)("%s has a default that it may be set to", ([, { limit, least, most, none }]) => {
    const value = constants[limit];
    if (value === none) return;
    expect(value).toBeGreaterThanOrEqual(least);
    expect(value).toBeLessThanOrEqual(most ?? Number.POSITIVE_INFINITY);
  });

  test.for(all)("%s is none only where that makes sense", ([name, { limit, none }]) => {
    if (none === undefined) expect(messageOf(`${name}=none`)).toContain("cannot be none");
    else expect(read(`${name}=none`)).toEqual({ [limit]: none });
  });

  test.for(all)(
    "%s refuses less than its least value, and no number",
    ([name, { kind, least }]) => {
      expect(messageOf(`${name}=many`)).toContain(`--limit ${name}: "many" is not a`);
      if (least === 0) return;
      const text = kind === "duration" ? `${least - 1}ms` : String(least - 1);
      expect(messageOf(`${name}=${text}`)).toContain(`${text} is less than ${least}`);
    },
  );
});

const values = [
  ["head-bytes=32KiB", { headBytesMax: 32 * 1024 }],
  ["body-bytes=10MiB", { bodyBytesMax: 10 * 1024 ** 2 }],
  ["body-bytes=2GiB", { bodyBytesMax: 2 * 1024 ** 3 }],
  ["body-bytes=4096", { bodyBytesMax: 4096 }],
  ["body-bytes=4096B", { bodyBytesMax: 4096 }],
  ["head-time=1.5m", { requestHeadMsMax: 90_000 }],
  ["body-rate = 1KiB".replaceAll(" ", ""), { bodyRateMin: 1024 }],
  ["connections-per-address=200", { connectionsPerAddressMax: 200 }],
] as const;

test.for(values)("%s is understood", ([text, means]) => {
  expect(read(text)).toEqual(means);
});

const wrong = [
  [["head-tme=5s"], '"head-tme" is not a limit; did you mean "head-time"?'],
  [["headBytes=5"], 'did you mean "head-bytes"?'],
  [["toString=5"], '"toString" is not a limit'],
  [["head-time"], '"head-time" is not NAME=VALUE'],
  [["=5s"], '"=5s" is not NAME=VALUE'],
  [["head-time="], '"" is not a duration'],
  [["head-fields=10KiB"], '"10KiB" is not a whole number'],
  [["body-bytes=10MB"], '"10MB" is not a number of bytes'],
  [["head-bytes=2MiB"], "2MiB is more than 1048576"],
  [["head-time=5s", "head-time=6s"], "head-time is set twice"],
  [["head-bytes=4KiB"], "head-bytes is not above target-bytes (by default 8192)"],
  [["target-bytes=16KiB"], "target-bytes is not below head-bytes (by default 16384)"],
  [["target-bytes=2KiB", "head-bytes=2KiB"], "target-bytes is not below head-bytes"],
  [
    ["connections-per-listener=10", "connections-per-address=11"],
    "connections-per-address is not below connections-per-listener",
  ],
  [
    ["connections-per-node=10", "connections-per-listener=11"],
    "connections-per-listener is not below connections-per-node",
  ],
] as const;

test.for(wrong)("%s is told", ([texts, message]) => {
  const told = messageOf(...texts);
  expect(told).toContain(message);
  expect(told.startsWith("--limit")).toBe(true);
});

test("limits that go together are taken together", () => {
  expect(read("target-bytes=2KiB", "head-bytes=4KiB")).toEqual({
    targetBytesMax: 2048,
    headBytesMax: 4096,
  });
  expect(read("connections-per-node=10", "connections-per-listener=10")).toEqual({
    connectionsPerNodeMax: 10,
    connectionsPerListenerMax: 10,
  });
});

test("a variable holds several, with commas between them", () => {
  expect(limitOption.split("head-time=5s, body-bytes=none")).toEqual([
    "head-time=5s",
    "body-bytes=none",
  ]);
});

test("each has a counter by its name, but for those that cut nothing", () => {
  const cutNothing = ["body-rate-grace", "unsent-bytes"];
  expect(all.map(([name]) => name).filter((name) => !cutNothing.includes(name))).toEqual(
    limitNames,
  );
});

test("no two set the same", () => {
  expect(new Set(all.map(([, { limit }]) => limit)).size).toBe(all.length);
});
