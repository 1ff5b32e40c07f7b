// Goal: JSON that goes out and comes in is proto3 canonical JSON, where ts-proto's own is not.

import { expect, test } from "vitest";
import {
  jsonFieldsOf,
  messageFromJson,
  messageToJson,
  messageToShortJson,
} from "../../src/cli/proto-json.ts";
import { RegisterBackendRequest, Route } from "../../src/gen/crosspoint/v1/router.ts";

// Canonical JSON writes 0, 3, 6 or 9 digits of a second, and reads any number of them.
test.for([
  ["1.5s", "1.500s"],
  ["0.000000001s", "0.000000001s"],
  ["3600s", "3600s"],
] as const)("a duration of %s comes in as itself and goes out as %s", ([text, canonical]) => {
  const request = messageFromJson("RegisterBackendRequest", RegisterBackendRequest, { ttl: text });
  expect(Number(request.ttl?.seconds) + (request.ttl?.nanos ?? 0) / 1e9).toBe(
    Number.parseFloat(text),
  );
  const back = messageToShortJson("RegisterBackendRequest", RegisterBackendRequest, request);
  expect(back).toEqual({ ttl: canonical });
});

test("64-bit numbers are texts, times are RFC 3339, every field is there", () => {
  const route = Route.fromPartial({
    name: "a",
    match: { $case: "tcp", value: { port: 1 } },
    revision: 2n ** 60n,
    createTime: new Date(1_500),
  });
  expect(messageToJson("Route", Route, route)).toEqual({
    name: "a",
    tcp: { port: 1 },
    service: "",
    sticky: false,
    labels: {},
    split: [],
    pages: [],
    revision: "1152921504606846976",
    createTime: "1970-01-01T00:00:01.500Z",
  });
});

test("what nobody knows is refused", () => {
  expect(() => messageFromJson("Route", Route, { nme: "a" })).toThrow(/"nme" is unknown/);
  expect(() => messageFromJson("Route", Route, { http: {}, tcp: {} })).toThrow(/oneof/);
});

test("the fields of a message are known by both their names", () => {
  expect(jsonFieldsOf("Service")).toEqual([
    { jsonName: "name", protoName: "name", message: undefined, kind: "scalar" },
    { jsonName: "policy", protoName: "policy", message: undefined, kind: "enum" },
    {
      jsonName: "healthCheck",
      protoName: "health_check",
      message: "HealthCheck",
      kind: "message",
    },
    { jsonName: "proxyProtocol", protoName: "proxy_protocol", message: undefined, kind: "enum" },
    { jsonName: "hashKey", protoName: "hash_key", message: "HashKey", kind: "message" },
    {
      jsonName: "zonePreference",
      protoName: "zone_preference",
      message: "ZonePreference",
      kind: "message",
    },
    { jsonName: "slowStart", protoName: "slow_start", message: undefined, kind: "message" },
    { jsonName: "limits", protoName: "limits", message: "ServiceLimits", kind: "message" },
    { jsonName: "ejection", protoName: "ejection", message: "Ejection", kind: "message" },
    { jsonName: "tcp", protoName: "tcp", message: "TcpSettings", kind: "message" },
    { jsonName: "pause", protoName: "pause", message: "Pause", kind: "message" },
  ]);
  const inRoute = jsonFieldsOf("Route").map(({ jsonName, message, kind }) => [
    jsonName,
    message,
    kind,
  ]);
  expect(inRoute).toContainEqual(["split", "Share", "list"]);
  expect(inRoute).toContainEqual(["labels", undefined, "map"]);
  // A duration is a text in JSON: it has no keys.
  const interval = jsonFieldsOf("HealthCheck").find(({ jsonName }) => jsonName === "interval");
  expect(interval?.message).toBeUndefined();
});
