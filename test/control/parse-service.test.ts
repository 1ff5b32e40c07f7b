// Goal: every field of a Service is read, checked and answered: what is rendered means the same when it is sent again,
// what is wrong is named by its proto path, all of it at once; a pause is only ever answered.
// Method: random services there and back through the bytes of the wire; tables in proto3 JSON; a node.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { messageFromJson, messageToShortJson } from "../../src/cli/proto-json.ts";
import { parseService } from "../../src/control/parse-service.ts";
import { renderService } from "../../src/control/render-service.ts";
import * as proto from "../../src/gen/crosspoint/v1/router.ts";
import { RouterError } from "../../src/model/errors.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { anyService } from "../support/any-service.ts";
import { failureOf, startRpcNode } from "../support/rpc-node.ts";

type Wanted = Readonly<Record<string, unknown>>;

const parse = (message: Wanted) =>
  parseService(messageFromJson("Service", proto.Service, { name: "web", ...message }), "service");

test("a service that is answered and sent again is the same service", () => {
  fc.assert(
    fc.property(anyService({ paused: false }), (service) => {
      const sent = proto.Service.encode(renderService(service)).finish();
      expect(parseService(proto.Service.decode(sent), "service")).toStrictEqual(service);
    }),
    { numRuns: 500 },
  );
});

test("a pause is answered, and not taken", () => {
  fc.assert(
    fc.property(anyService({ paused: true }), (service) => {
      const message = renderService(service);
      const pause = service.options?.pause;
      expect(message.pause?.since?.getTime()).toBe(pause?.sinceMs);
      expect(message.pause?.queue).toBe(pause?.queue);
      expect(parseService(message, "service").options?.pause).toBeUndefined();
    }),
  );
});

test.for<readonly [Wanted, Wanted]>([
  [{}, {}],
  [{ limits: {}, tcp: {}, ejection: {}, hashKey: {} }, {}],
  [{ hashKey: { clientAddress: true } }, {}],
  [{ hashKey: { path: false } }, {}],
  [{ hashKey: { header: "X-User" } }, { hashKey: { header: "x-user" } }],
  [{ zonePreference: {} }, { zonePreference: { usablePercentMin: 70 } }],
  [
    { healthCheck: { http: {} } },
    {
      healthCheck: {
        http: { path: "/" },
        interval: "10s",
        timeout: "1s",
        healthyThreshold: 1,
        unhealthyThreshold: 3,
      },
    },
  ],
  [{ slowStart: "1.5s" }, { slowStart: "1.500s" }],
  [{ ejection: { off: true } }, { ejection: { off: true } }],
  [{ tcp: { connectTimeout: "0.0001s" } }, { tcp: { connectTimeout: "0.001s" } }],
])("%j becomes %j", ([asked, answered]) => {
  expect(messageToShortJson("Service", proto.Service, renderService(parse(asked)))).toEqual({
    name: "web",
    ...answered,
  });
});

test.for<readonly [Wanted, readonly string[]]>([
  [{ name: "", policy: 9, proxyProtocol: 9 }, ["name", "policy", "proxy_protocol"]],
  [{ healthCheck: {} }, ["health_check.probe"]],
  [{ healthCheck: { tcp: {}, interval: "0s" } }, ["health_check.interval"]],
  [{ healthCheck: { tcp: {}, timeout: "11s" } }, ["health_check.timeout"]],
  [{ slowStart: "-1s" }, ["slow_start"]],
  [
    { slowStart: "7200s", limits: { queueTime: "1s" }, tcp: { keepalive: "0.5s" } },
    ["slow_start", "limits.queue_time", "tcp.keepalive"],
  ],
])("%j is wrong in %j", ([asked, names]) => {
  expect(fieldsOf(() => parse(asked))).toEqual(names.map((name) => `service.${name}`));
});

test("a duration that is none is named, beside what else is wrong", () => {
  const message = proto.Service.fromPartial({
    name: "web",
    slowStart: { seconds: 1n, nanos: -1 },
    tcp: { connectTries: 11 },
  });
  expect(fieldsOf(() => parseService(message, "service"))).toEqual([
    "service.slow_start",
    "service.tcp.connect_tries",
  ]);
});

test("a paused service that is put stays paused, in the answer, the list and the table", async () => {
  const { client, store, view } = await startRpcNode();
  const pause = { queue: 7, queueMs: 5_000, sinceMs: 1_790_000_000_000 };
  const web = parseServiceName("web");
  await store.commit({
    expected: (await store.read()).revision,
    changes: [
      { kind: "service-put", service: { name: web, policy: undefined, options: { pause } } },
    ],
  });
  const shown = { queue: 7, queueTime: { seconds: 5n, nanos: 0 } };
  await expect.poll(() => view.table.service(web)?.options?.pause).toEqual(pause);
  const put = await client.call("putService", {
    service: { name: "web", slowStart: { seconds: 9n } },
  });
  expect(put.service?.pause).toMatchObject(shown);
  expect(view.table.service(web)?.options).toEqual({ slowStartMs: 9_000, pause });
  const { services } = await client.call("listServices", {});
  expect(services).toMatchObject([{ name: "web", slowStart: { seconds: 9n }, pause: shown }]);
  // The answer, sent again, changes nothing.
  const again = await client.call("putService", { service: put.service });
  expect(again.revision).toBe(put.revision);
});

test("what is wrong comes back by field, and nothing is stored", async () => {
  const { client, store } = await startRpcNode();
  const failure = await failureOf(
    client.call("applyChanges", {
      changes: [
        { change: { $case: "putService", value: { name: "web", healthCheck: {} } } },
        { change: { $case: "putService", value: { name: "api", limits: { queue: 2 ** 31 } } } },
      ],
    }),
  );
  expect([failure.code, ...failure.fields]).toEqual([
    "INVALID_ARGUMENT",
    "changes[0].put_service.health_check.probe",
    "changes[1].put_service.limits.queue",
  ]);
  expect((await store.read()).revision).toBe(0);
});

function fieldsOf(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (thrown) {
    const { code, details } = RouterError.from(thrown);
    expect(code).toBe("invalid-argument");
    return (details.violations ?? []).map(({ field }) => field);
  }
  return [];
}
