// Goal: what a client sends as sticky cookies leads to its place, and costs a bounded number of attempts to open it.
// Method: one session on recorded streams; the attempts are counted.

import { expect, test } from "vitest";
import { noWish, parseOptions } from "../../src/model/parse-options.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import { recordedSession } from "../support/recorded-session.ts";
import { backendOf, routeOf } from "../support/table-fixtures.ts";

/** A session whose route splits over so many services; how often a cookie was tried. */
function split(services: number) {
  const session = recordedSession();
  const { context } = session;
  const shares = Array.from({ length: services }, (_, i) => ({ service: `web-${i}`, weight: 1 }));
  const options = parseOptions({ ...noWish, split: shares }, "route")!;
  const route = { ...routeOf("all", "*"), service: undefined, sticky: true, options };
  const builder = RouteTable.build();
  builder.add([
    { kind: "route-put", route },
    ...shares.map(({ service }, i) => ({
      kind: "backend-put" as const,
      backend: backendOf(service, `10.0.0.${i + 1}:80`),
    })),
  ]);
  context.table = builder.finish(parseRevision(2));
  const { sticky } = context;
  const open = sticky.open.bind(sticky);
  let opens = 0;
  sticky.open = (...of) => {
    opens++;
    return open(...of);
  };
  const ask = (...values: readonly string[]): void => {
    const cookie = values.map((value) => `_backend=${value}`).join("; ");
    session.stream.receive(`GET / HTTP/1.1\r\nHost: a.test\r\nCookie: ${cookie}\r\n\r\n`);
  };
  return { ...session, ask, opens: () => opens };
}

const forged = Buffer.alloc(60, 3).toString("base64url");

test.for([
  [1, 4],
  [2, 8],
  [5, 15],
  [16, 16],
] as const)(
  "forged cookies of a split over %i services are tried %i times in all",
  ([services, tries]) => {
    const { ask, opens } = split(services);
    ask(...Array.from({ length: 50 }, () => forged));
    expect(opens()).toBe(tries);
  },
);

test("the cookie of the last of 16 services leads there", () => {
  const { ask, context, dialled } = split(16);
  ask(context.sticky.seal("web-9", "10.0.0.10:80"));
  expect(dialled[0]!.to).toBe("10.0.0.10:80");
});

test("of two services, one behind a cookie of another route leads there", () => {
  const { ask, context, dialled } = split(2);
  ask(forged, forged, context.sticky.seal("web-1", "10.0.0.2:80"));
  expect(dialled[0]!.to).toBe("10.0.0.2:80");
});
