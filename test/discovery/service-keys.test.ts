// Goal: what etcd-netfw and its kin write is found, what lies beside it is passed over, and what should be a
// backend and is none says why.
// Method: tables of keys and values, by both forms of prefix.

import { describe, expect, test } from "vitest";
import type { KeyForm } from "../../src/discovery/reading.ts";
import { instanceKeys, serviceKeys } from "../../src/discovery/service-keys.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { keyOf, keyValue } from "../support/followed-by-hand.ts";

const postgres = '{"host":"172.31.51.34","port":5432}';
const inFolder = instanceKeys(parseServiceName("postgres"));

/** undefined: somebody else's key. */
function readBy(form: KeyForm, prefix: string, rest: string, text: string | undefined) {
  const key = keyOf(rest);
  return form.concerns(key) ? form.read(key, keyValue(prefix + rest, text)) : undefined;
}

const read = (rest: string, text: string | undefined) =>
  readBy(serviceKeys, "/services/", rest, text);

const addressIn = (value: string): string | undefined => read("web/1", value)?.backend.address;

describe("the keys below /services/", () => {
  test("NAME/ID is a backend of NAME with the weight and the life of any other", () => {
    expect(read("postgres/1", postgres)).toEqual({
      backend: {
        service: "postgres",
        address: "172.31.51.34:5432",
        weight: 100,
        labels: {},
        ttlMs: undefined,
        joined: 1,
      },
      instance: "postgres/1",
      preferred: false,
    });
  });

  test("NAME/ID/location is the same instance, and counts first", () => {
    expect(read("postgres/1/location", postgres)).toMatchObject({
      instance: "postgres/1",
      preferred: true,
    });
  });

  test.for([
    "web/1/status",
    "web/1/status/current",
    "web/1/status/alive",
    "web/1/location/x",
    "web/1/LOCATION",
    "web/1/",
    "a/b/c/d/e/f",
  ])("%s is somebody else's, whatever its value", (rest) => {
    expect(read(rest, undefined)).toBeUndefined();
    expect(read(rest, "started")).toBeUndefined();
  });

  test.for([
    ["web", "names no instance"],
    ["web/", "names no instance"],
    ["", "names no instance"],
    ["/1", "service: is required"],
    ["-web/1", "is not a service name"],
    ["w b/1", "is not a service name"],
    ["wéb/1", '"wéb" is not a service name'],
    [`${"w".repeat(129)}/1`, "is not a service name"],
  ] as const)("%j should name a backend and does not: %s", ([rest, reason]) => {
    expect(() => read(rest, postgres)).toThrow(reason);
  });

  test("any ID will do", () => {
    for (const id of ["1", "0", "é", "..", "\u0000", "a b", "location"]) {
      expect(read(`web/${id}`, postgres)).toMatchObject({ instance: keyOf(`web/${id}`) });
    }
  });
});

describe("the keys of one service's folder", () => {
  const readIn = (rest: string, text: string | undefined) =>
    readBy(inFolder, "/services/postgres/", rest, text);

  test("ID and ID/location are backends of that service", () => {
    expect(readIn("1", postgres)).toMatchObject({
      backend: { service: "postgres", address: "172.31.51.34:5432" },
      instance: "1",
      preferred: false,
    });
    expect(readIn("1/location", postgres)).toMatchObject({ instance: "1", preferred: true });
  });

  test("what lies beside a location is somebody else's", () => {
    expect(readIn("1/status/current", "started")).toBeUndefined();
    expect(readIn("1/status", undefined)).toBeUndefined();
  });

  test("a key without an ID says so", () => {
    expect(() => readIn("", postgres)).toThrow("names no instance");
  });
});

describe("a value", () => {
  test.for([
    [postgres, "172.31.51.34:5432"],
    ['{"host":"172.31.51.34","port":"5432"}', "172.31.51.34:5432"],
    ['{"host":"fd00::7","port":80}', "[fd00::7]:80"],
    ['{"host":"[fd00::7]","port":80}', "[fd00::7]:80"],
    ['{"host":"FD00:0::0007","port":80}', "[fd00::7]:80"],
    ['{"host":"Db.Internal","port":5432}', "db.internal:5432"],
    ['{"host":"db","port":65535,"user":"x","tags":[{}],"weight":"?"}', "db:65535"],
    ['{"port":1,"port":2,"host":"a"}', "a:2"],
    [' {"host" : "a" , "port" : 8e1} ', "a:80"],
  ] as const)("%s is %s", ([value, address]) => {
    expect(addressIn(value)).toBe(address);
  });

  test.for([
    ["not json", "not JSON"],
    ['{"host":"a","port":1', "not JSON"],
    ["", "not JSON"],
    [undefined, "too long, or not UTF-8"],
    ["null", "not an object"],
    ["[]", "not an object"],
    ['[{"host":"a","port":1}]', "not an object"],
    ['"a:1"', "not an object"],
    ["1", "not an object"],
    ["true", "not an object"],
    ["{}", "host: nothing is not a host"],
    ['{"host":"","port":80}', 'host: "" is not a host'],
    ['{"host":null,"port":80}', "host: null is not a host"],
    ['{"host":7,"port":80}', "host: 7 is not a host"],
    ['{"host":["a"],"port":80}', 'host: ["a"] is not a host'],
    ['{"__proto__":{"host":"a","port":80}}', "host: nothing is not a host"],
    ['{"host":"a b","port":80}', "neither an IP address nor a host name"],
    ['{"host":"a\\u0000","port":80}', 'host: "a\\u0000" is neither'],
    ['{"host":"10.0.0.256","port":80}', "neither an IP address"],
    ['{"host":"127.1","port":80}', "neither an IP address"],
    ['{"host":"[::1","port":80}', "neither an IP address"],
    ['{"host":":::","port":80}', "neither an IP address"],
    ['{"host":"10.0.0.1:80","port":80}', "neither an IP address"],
    ['{"host":"fe80::1%eth0","port":80}', "neither an IP address"],
    [`{"host":"${"a".repeat(254)}","port":80}`, "neither an IP address"],
    ['{"host":"a"}', "port: nothing is not a port"],
    ['{"host":"a","port":0}', "port: 0 is not a port"],
    ['{"host":"a","port":"0"}', 'port: "0" is not a port'],
    ['{"host":"a","port":65536}', "port: 65536 is not a port"],
    ['{"host":"a","port":-1}', "port: -1 is not a port"],
    ['{"host":"a","port":80.5}', "port: 80.5 is not a port"],
    ['{"host":"a","port":1e400}', "is not a port"],
    ['{"host":"a","port":"80 "}', 'port: "80 " is not a port'],
    ['{"host":"a","port":"0x50"}', 'port: "0x50" is not a port'],
    ['{"host":"a","port":""}', 'port: "" is not a port'],
    ['{"host":"a","port":true}', "port: true is not a port"],
    ['{"host":"a","port":null}', "port: null is not a port"],
    ['{"host":"a","port":{}}', "port: {} is not a port"],
  ] as const)("%j cannot be read: %s", ([value, reason]) => {
    expect(() => read("web/1", value)).toThrow(reason);
  });

  test("a reason stays short and on one line, whatever the value holds", () => {
    const host = `\\u000a\\u001b${"x".repeat(100_000)}`;
    const failed = (): unknown => read("web/1", `{"host":"${host}","port":80}`);
    expect(failed).toThrow(/^[ -~]{1,200}$/);
  });

  test("one that is nested without end is no JSON object, and ends nothing", () => {
    expect(() => read("web/1", "[".repeat(500_000))).toThrow("not JSON");
    const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
    expect(() => read("web/1", `{"host":${deep},"port":80}`)).toThrow();
  });
});
