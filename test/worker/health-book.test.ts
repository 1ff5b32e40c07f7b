// Goal: whatever comes first, the verdict or the table, a backend stands as its checks say, and each service looks once.

import { describe, expect, test } from "vitest";
import type { CheckVerdict } from "../../src/channel/messages.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { RouteTable } from "../../src/routing/route-table.ts";
import type { ServiceState } from "../../src/routing/service-state.ts";
import { HealthBook } from "../../src/worker/health-book.ts";
import { backendOf, putRoute } from "../support/table-fixtures.ts";

const verdict = (
  address: string,
  state: CheckVerdict["state"],
  reason = "said so",
): CheckVerdict => ({ service: "web", address, state, reason });

function world(...addresses: readonly string[]) {
  const recovered: string[] = [];
  const book = new HealthBook({ recovered: ({ address }) => recovered.push(address) });
  const watcher = {
    zone: "",
    nowMs: () => 0,
    joined: (backend: Parameters<HealthBook["inform"]>[0]) => book.inform(backend),
    configured() {},
    restless() {},
  };
  const tableOf = (backends: readonly string[], previous?: RouteTable): RouteTable => {
    const builder = RouteTable.build(watcher);
    builder.add([putRoute("web", "a.test")]);
    builder.add(
      backends.map((address) => ({ kind: "backend-put", backend: backendOf("web", address) })),
    );
    return builder.finish(parseRevision(1), previous);
  };
  return { book, recovered, tableOf, table: tableOf(addresses) };
}

const a = "10.0.0.1:80";
const b = "10.0.0.2:80";
const serviceOf = (table: RouteTable): ServiceState => table.service("web")!;
const usable = (table: RouteTable): string[] =>
  serviceOf(table).usable.map(({ address }) => address);

describe("the health book", () => {
  test("takes an unhealthy backend out, and back, and tells of its recovery once", () => {
    const { book, table, recovered } = world(a, b);
    book.learn([verdict(a, "unhealthy", "HTTP 500 (3 times)")], table);
    expect(usable(table)).toEqual([b]);
    expect(serviceOf(table).backendAt(a)?.standing).toMatchObject({
      check: "unhealthy",
      checkReason: "HTTP 500 (3 times)",
    });
    expect(recovered).toEqual([]);
    book.learn([verdict(a, "healthy"), verdict(b, "unhealthy")], table);
    expect(usable(table)).toEqual([a]);
    book.learn([verdict(a, "healthy", "HTTP 204")], table);
    expect(recovered).toEqual([a]);
  });

  test("uses all when all are unhealthy", () => {
    const { book, table } = world(a, b);
    book.learn([verdict(a, "unhealthy"), verdict(b, "unhealthy")], table);
    expect(usable(table)).toEqual([a, b]);
  });

  test("knows nothing of a backend that is not checked any more", () => {
    const { book, table, tableOf } = world(a, b);
    book.learn([verdict(a, "unhealthy")], table);
    expect(book.size).toBe(1);
    book.learn([verdict(a, "unknown", "")], table);
    expect(book.size).toBe(0);
    expect(usable(table)).toEqual([a, b]);
    expect(usable(tableOf([a, b]))).toEqual([a, b]);
  });

  test("tells a backend that joins what came before it", () => {
    const { book, table, tableOf } = world(b);
    book.learn([verdict(a, "unhealthy")], table);
    const prepared = table.prepare(
      [{ kind: "backend-put", backend: backendOf("web", a) }],
      parseRevision(2),
    );
    prepared.apply();
    expect(usable(table)).toEqual([b]);
    expect(usable(tableOf([a, b]))).toEqual([b]);
    expect(usable(tableOf([a, b], table))).toEqual([b]);
  });

  test("tells a table that was made while messages came", () => {
    const { book, tableOf, table } = world(b);
    const made = tableOf([a, b]);
    book.learn([verdict(a, "unhealthy")], table);
    expect(usable(made)).toEqual([a, b]);
    book.informAll(made);
    expect(usable(made)).toEqual([b]);
  });

  test("tells such a table also of what is not checked any more", () => {
    const { book, tableOf, table } = world(b);
    book.learn([verdict(a, "unhealthy")], table);
    const made = tableOf([a, b]);
    expect(usable(made)).toEqual([b]);
    book.learn([verdict(a, "unknown", "")], table);
    book.informAll(made);
    expect(usable(made)).toEqual([a, b]);
  });

  test("has each service choose anew once for all that a message says, and not for a reason alone", () => {
    const { book, table } = world(a, b);
    const pickers = new Set([serviceOf(table).picker]);
    let refreshes = 0;
    const service = serviceOf(table);
    const refresh = service.refresh.bind(service);
    service.refresh = () => {
      refreshes++;
      refresh();
    };
    book.learn([verdict(a, "unhealthy"), verdict(b, "healthy")], table);
    expect([refreshes, pickers.add(service.picker).size]).toEqual([1, 2]);
    book.learn([verdict(a, "unhealthy", "another"), verdict(b, "healthy")], table);
    expect([refreshes, pickers.add(service.picker).size]).toEqual([1, 2]);
    expect(service.backendAt(a)?.standing.checkReason).toBe("another");
  });

  test("leaves alone what no table has", () => {
    const { book, table } = world(b);
    book.learn([verdict(a, "unhealthy"), { ...verdict(b, "unhealthy"), service: "x" }], table);
    expect(usable(table)).toEqual([b]);
  });
});
