// Goal: what discoverd's clients wrote is found, in the layout of version 1 and in the later one.
// Method: tables of keys and values; the cases of its own tests by their names.

import { describe, expect, test } from "vitest";
import { discoverdKeys } from "../../src/discovery/discoverd-keys.ts";
import { keyOf, keyValue } from "../support/followed-by-hand.ts";

/** undefined: somebody else's key. */
function read(rest: string, text: string | undefined) {
  const key = keyOf(rest);
  if (!discoverdKeys.concerns(key)) return undefined;
  return discoverdKeys.read(key, keyValue(`/discover/services/${rest}`, text));
}

describe("version 1, NAME/HOST:PORT", () => {
  test("RegisterAndUnregister: null is a backend without attributes", () => {
    expect(read("echo/10.0.0.7:1234", "null")).toEqual({
      backend: {
        service: "echo",
        address: "10.0.0.7:1234",
        weight: 100,
        labels: {},
        ttlMs: undefined,
        joined: 1,
      },
      instance: "echo/10.0.0.7:1234",
      preferred: false,
    });
  });

  test("Attributes: they are labels", () => {
    const found = read("echo/[fd00::7]:80", '{"zone":"b","id":"node-1"}');
    expect(found?.backend).toMatchObject({
      address: "[fd00::7]:80",
      labels: { id: "node-1", zone: "b" },
    });
  });

  test("what fits no label is dropped, and the backend stays", () => {
    const odd = {
      "": "empty",
      "a b": "blank",
      __proto__x: "1",
      number: 7,
      nothing: null,
      list: ["x"],
      long: "x".repeat(257),
      ok: "yes",
    };
    const value = `{"__proto__":"x",${JSON.stringify(odd).slice(1)}`;
    expect(read("echo/a:1", value)?.backend.labels).toEqual({ ok: "yes" });
  });

  test("of more attributes than labels may be, the first by name are taken", () => {
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${49 - i}`, "v"]));
    const labels = read("echo/a:1", JSON.stringify(many))?.backend.labels ?? {};
    expect(Object.keys(labels)).toHaveLength(32);
    expect(Object.keys(labels).at(-1)).toBe("k41");
  });

  test.for([
    ["echo", "null", "names no backend"],
    ["echo/", "null", "names no backend"],
    ["echo/10.0.0.7", "null", "key: "],
    ["echo/10.0.0.7:0", "null", "key: "],
    ["echo/fd00::7:80", "null", "key: "],
    ["_echo/10.0.0.7:80", "null", "is not a service name"],
    ["echo/10.0.0.7:80", "", "not JSON"],
    ["echo/10.0.0.7:80", "yes", "not JSON"],
    ["echo/10.0.0.7:80", "[]", "neither an object of texts nor null"],
    ["echo/10.0.0.7:80", '"a"', "neither an object of texts nor null"],
    ["echo/10.0.0.7:80", "0", "neither an object of texts nor null"],
    ["echo/10.0.0.7:80", undefined, "too long, or not UTF-8"],
  ] as const)("%s with %j cannot be read: %s", ([rest, value, reason]) => {
    expect(() => read(rest, value)).toThrow(reason);
  });

  test("deeper keys are somebody else's", () => {
    expect(read("echo/10.0.0.7:80/x", undefined)).toBeUndefined();
  });
});

describe("the later layout, NAME/instances/ID", () => {
  const value =
    '{"id":"f00","addr":"10.0.0.7:80","proto":"tcp","meta":{"FLYNN_APP":"a"},"index":9}';

  test("the address is the value's, meta are labels", () => {
    expect(read("web/instances/f00", value)).toMatchObject({
      backend: { service: "web", address: "10.0.0.7:80", labels: { FLYNN_APP: "a" } },
      instance: "web/instances/f00",
    });
    const bare = read("web/instances/f00", '{"addr":"10.0.0.7:80","meta":null}');
    expect(bare?.backend.labels).toEqual({});
  });

  test.for(["web/config", "web/leader", "web/meta", "web/instances", "web/instances/f00/x"])(
    "%s lies beside the instances",
    (rest) => {
      expect(read(rest, '{"leader_type":"oldest"}')).toBeUndefined();
    },
  );

  test.for([
    ["web/instances/", value, "names no instance"],
    ["web/instances/f00", "null", "not an object"],
    ["web/instances/f00", "{}", "not an object such as"],
    ["web/instances/f00", '{"addr":7}', "not an object such as"],
    ["web/instances/f00", '{"addr":"10.0.0.7"}', "addr: "],
    ["-/instances/f00", value, "is not a service name"],
  ] as const)("%s with %s cannot be read: %s", ([rest, text, reason]) => {
    expect(() => read(rest, text)).toThrow(reason);
  });
});
