// Goal: a slot gives back the fields of the texts that were asked for, whoever had it before.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { AccessField } from "../../src/telemetry/access-fields.ts";
import { FieldSlots } from "../../src/telemetry/field-slots.ts";

const { route, service, backend } = AccessField;

function setUp(slots = 4): {
  slots: FieldSlots;
  fieldsOf: (first: string, second: string, third: string) => unknown;
} {
  const made = new FieldSlots({ keys: [route, service, backend], slots, slotBytes: 192 });
  const fieldsOf = (first: string, second: string, third: string): unknown => {
    const slot = made.slotOf(first, second, third);
    if (slot < 0) return undefined;
    const bytes = Buffer.from(made.view.buffer, slot * made.slotBytes, made.lengthOf(slot));
    return JSON.parse(`{${bytes.toString("ascii").slice(1)}}`);
  };
  return { slots: made, fieldsOf };
}

const texts = fc.constantFrom(
  "",
  "a",
  "web",
  "webs",
  "web-1",
  "web-2",
  "127.0.0.1:9000",
  'q"\\',
  "é",
);

test("gives the fields of the triple that is asked for, in few slots for many", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(texts, texts, texts), { maxLength: 60 }), (triples) => {
      const { fieldsOf } = setUp();
      for (const [first, second, third] of triples) {
        expect(fieldsOf(first, second, third)).toEqual({
          route: first,
          service: second,
          backend: third,
        });
      }
    }),
  );
});

test("has the fields of empty texts too, before there was any other", () => {
  const { fieldsOf } = setUp();
  expect(fieldsOf("", "", "")).toEqual({ route: "", service: "", backend: "" });
});

test("keeps apart texts that agree in every character that is looked at", () => {
  const { fieldsOf } = setUp(2);
  const long = (middle: string): string => `${"x".repeat(20)}${middle}${"x".repeat(19)}`;
  for (const middle of ["a", "b", "a"]) {
    expect(fieldsOf(long(middle), long("c"), "")).toMatchObject({ route: long(middle) });
    expect(fieldsOf(long("c"), long(middle), "")).toMatchObject({ service: long(middle) });
    expect(fieldsOf("", "", long(middle))).toMatchObject({ backend: long(middle) });
  }
});

test("has no slot for what is too long, as it is or escaped, and spoils no other with it", () => {
  const { slots, fieldsOf } = setUp(2);
  expect(fieldsOf("app", "web", "127.0.0.1:1")).toEqual({
    route: "app",
    service: "web",
    backend: "127.0.0.1:1",
  });
  expect(slots.slotOf("a".repeat(193), "", "")).toBe(-1);
  expect(slots.slotOf("\u0001".repeat(64), "\u0001".repeat(64), "\u0001".repeat(64))).toBe(-1);
  expect(slots.slotOf("a".repeat(60), "b".repeat(60), "c".repeat(60))).toBe(-1);
  expect(slots.lengthOf(0)).toBe(
    '[,"route":"app","service":"web","backend":"127.0.0.1:1"'.length - 1,
  );
});

test("holds names of the greatest length and an IPv4 address", () => {
  const { slots } = setUp();
  expect(slots.slotOf("r".repeat(63), "s".repeat(63), "255.255.255.255:65535")).not.toBe(-1);
});
