// Goal: whatever was thrown becomes one kind of error, and keeps its cause.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { assert, invalidField, RouterError, unreachable } from "../../src/model/errors.ts";

describe("RouterError.from", () => {
  test("leaves a RouterError as it is, whatever code is offered", () => {
    const error = new RouterError("not-found", "no such route", { reason: "GONE" });
    expect(RouterError.from(error, "deadline")).toBe(error);
  });

  test("takes the message of an Error, and keeps it as the cause", () => {
    const cause = new TypeError("nonsense");
    const error = RouterError.from(cause, "store-unavailable");
    expect(error).toMatchObject({ code: "store-unavailable", message: "nonsense", details: {} });
    expect(error.cause).toBe(cause);
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe("RouterError");
  });

  test.for<[unknown, string]>([
    ["text", "text"],
    [undefined, "undefined"],
    [7n, "7"],
    [Symbol("s"), "Symbol(s)"],
    [Object.create(null), "[object Object]"],
    [{ toString: 5, valueOf: 6 }, "[object Object]"],
  ])("says what it can of what is not an Error: case %#", ([thrown, message]) => {
    const error = RouterError.from(thrown);
    expect(error).toMatchObject({ code: "internal", message });
    expect(error.cause).toBe(thrown);
  });

  test("never throws itself", () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true, withBigInt: true }), (thrown) => {
        expect(RouterError.from(thrown)).toBeInstanceOf(RouterError);
      }),
    );
  });
});

test("invalidField names the field for people and for programs", () => {
  const error = invalidField("route.http.domain", "is required");
  expect(error).toMatchObject({
    code: "invalid-argument",
    message: "route.http.domain: is required",
    details: { violations: [{ field: "route.http.domain", description: "is required" }] },
  });
});

test("what cannot be is a bug of ours, and said so", () => {
  assert(true, "holds");
  expect(() => assert(false, "revisions only grow")).toThrow("assertion failed: revisions only");
  expect(() => unreachable("x" as never)).toThrow('unreachable: "x"');
});
