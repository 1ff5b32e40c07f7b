// Goal: services and backends, as typed, reach the node; what the node knows of them is shown.

import { describe, expect, test } from "vitest";
import { startRpcNode } from "../support/rpc-node.ts";
import { startAnsweringNode } from "./answering-node.ts";
import { crosspoint, dispatched, linesOf } from "./program.ts";

describe("service", () => {
  test("put, list and remove", async () => {
    const node = await startRpcNode();
    const rpc = node.server.address;
    const put = await crosspoint(["service", "put", "web", "--policy", "round-robin"], { rpc });
    expect(put).toMatchObject({
      status: 0,
      stdout: "web  round-robin  (revision 1)\n",
      stderr: "",
    });
    await crosspoint(["route", "add", "app.example.com", "shop"], { rpc });
    const list = await crosspoint(["service", "list"], { rpc });
    expect(linesOf(list)).toEqual([
      "NAME  POLICY       PROXY  CHECK  USABLE  BUSY  WAITING  PAUSED",
      "shop  -            -      -      0/0     0     0        -",
      "web   round-robin  -      -      0/0     0     0        -",
    ]);
    const json = await crosspoint(["service", "list", "--json"], { rpc });
    expect(JSON.parse(json.stdout)).toMatchObject({
      services: [
        { name: "shop", policy: "POLICY_UNSPECIFIED" },
        { name: "web", policy: "POLICY_ROUND_ROBIN" },
      ],
    });
    const removed = await crosspoint(["service", "remove", "web"], { rpc });
    expect(removed).toMatchObject({ status: 0, stdout: "removed web  (revision 3)\n" });
    const busy = await crosspoint(["service", "remove", "shop"], { rpc });
    expect(busy).toMatchObject({ status: 1, stdout: "" });
    expect(busy.stderr).toMatch(/shop/);
  });

  test("list says how many backends are usable, what is in flight, who waits, and since when it is paused", async () => {
    const status = { service: "web", backends: 3, requestsInFlight: 12, waiting: 4 };
    const { rpc, asked } = await startAnsweringNode({
      listServices: () => ({
        services: [
          { name: "web", pause: { queue: 5, since: new Date(Date.now() - 90_000) } },
          { name: "old" },
        ],
        statuses: [{ ...status, backendsUsable: 1 }],
      }),
    });
    const list = await crosspoint(["service", "list"], { rpc });
    expect(asked).toMatchObject([["listServices", { withStatus: true }]]);
    expect(linesOf(list)[1]).toMatch(/^web .* 1\/3 {5}12 {4}4 {8}9\ds$/);
    // Of a node that does not tell it.
    expect(linesOf(list)[2]).toBe("old   -       -      -      -       -     -        -");
  });

  test("put with --send-proxy, shown and kept", async () => {
    const rpc = (await startRpcNode()).server.address;
    const put = await crosspoint(["service", "put", "web", "--send-proxy", "v2"], { rpc });
    expect(put).toMatchObject({ status: 0, stdout: "web  sends PROXY v2  (revision 1)\n" });
    const list = await crosspoint(["service", "list"], { rpc });
    expect(linesOf(list)).toEqual([
      "NAME  POLICY  PROXY  CHECK  USABLE  BUSY  WAITING  PAUSED",
      "web   -       v2     -      0/0     0     0        -",
    ]);
    const exported = await crosspoint(["export"], { rpc });
    expect(exported.stdout).toMatch(/- name: web\n {4}proxyProtocol: v2\n/);
    const wrong = await crosspoint(["service", "put", "web", "--send-proxy", "v3"], { rpc });
    expect(wrong).toMatchObject({ status: 2 });
    expect(wrong.stderr).toMatch(/Allowed choices are v1, v2/);
    const none = await crosspoint(["service", "put", "web"], { rpc });
    expect(none).toMatchObject({ status: 0, stdout: "web  (revision 2)\n" });
  });

  test("a check is understood or refused here, and what the node does not have yet is told", async () => {
    const rpc = (await startRpcNode()).server.address;
    const wrong = await crosspoint(["service", "put", "web", "--check", "http:healthz"], { rpc });
    expect(wrong).toMatchObject({ status: 2 });
    expect(wrong.stderr).toMatch(/--check: "http:healthz" is not http:\/PATH, tcp or grpc/);
    const later = await crosspoint(["service", "put", "web", "--check", "http:/healthz"], { rpc });
    expect(later).toMatchObject({ status: 1, stdout: "" });
    expect(later.stderr).toMatch(/health/);
    const policy = await crosspoint(["service", "put", "web", "--policy", "best"], { rpc });
    expect(policy).toMatchObject({ status: 2 });
    expect(policy.stderr).toMatch(/Allowed choices are random, round-robin, least-loaded/);
  });
});

describe("backend", () => {
  test("add with weight, TTL and labels; list with what was measured; remove", async () => {
    const node = await startRpcNode();
    const rpc = node.server.address;
    const add = await crosspoint(
      [
        "backend",
        "add",
        "web",
        "10.0.0.7:8080",
        "--weight",
        "5",
        "--ttl",
        "90.5s",
        "--label",
        "zone=a",
      ],
      { rpc },
    );
    expect(add).toMatchObject({
      status: 0,
      stdout: "web -> 10.0.0.7:8080  (revision 1)\n",
      stderr: "",
    });
    const [backend] = node.view.table.backends();
    expect(backend).toMatchObject({ weight: 5, ttlMs: 90_500, labels: { zone: "a" } });
    node.serving.measures = [
      {
        service: "web",
        address: "10.0.0.7:8080",
        inFlight: 2,
        total: 9,
        failures: 1,
        lastFailure: "",
      },
    ];
    const list = await crosspoint(["backend", "list", "web", "--wide"], { rpc });
    const [head = "", row = ""] = linesOf(list);
    expect(head).toMatch(
      /^SERVICE {2}ADDRESS {8}WEIGHT {2}TTL {4}HEALTH {3}BUSY {2}CONNECTIONS {2}REQUESTS {2}FAILED/,
    );
    expect(row).toMatch(/^web {6}10\.0\.0\.7:8080 {2}5 {7}90\.5s {2}unknown {2}2 {5}0 {12}9 {9}1 /);
    const none = await crosspoint(["backend", "list", "shop", "--json"], { rpc });
    expect(JSON.parse(none.stdout)).toMatchObject({ backends: [] });
    const removed = await crosspoint(["backend", "remove", "web", "10.0.0.7:8080"], { rpc });
    expect(removed).toMatchObject({
      status: 0,
      stdout: "removed web -> 10.0.0.7:8080  (revision 2)\n",
    });
    const again = await crosspoint(["backend", "remove", "web", "10.0.0.7:8080"], { rpc });
    expect(again).toMatchObject({ status: 3, stdout: "" });
  });

  test("remove passes --drain on: a node without it says so", async () => {
    const rpc = (await startRpcNode()).server.address;
    await crosspoint(["backend", "add", "web", "10.0.0.7:8080"], { rpc });
    const run = await crosspoint(["backend", "remove", "web", "10.0.0.7:8080", "--drain", "30s"], {
      rpc,
    });
    expect(run).toMatchObject({ status: 1, stdout: "" });
    expect(run.stderr).toMatch(/^crosspoint: .*drain/);
  });

  test.for([
    [["add", "web", "10.0.0.7"], /backend\.address: "10\.0\.0\.7" is not HOST:PORT/],
    [["add", "web", "10.0.0.7:80", "--weight", "0"], /--weight: "0" is not a whole number from 1/],
    [["add", "web", "10.0.0.7:80", "--weight", "2000"], /backend\.weight/],
    [["add", "web", "10.0.0.7:80", "--ttl", "soon"], /--ttl: "soon" is not a duration/],
    [["remove", "web", "10.0.0.7:80", "--drain", "x"], /--drain: "x" is not a duration/],
  ] as const)("ends with 2 for %j", async ([words, message]) => {
    const rpc = (await startRpcNode()).server.address;
    const run = await dispatched(["backend", ...words], { CROSSPOINT_RPC: rpc });
    expect(run.stderr).toMatch(message);
    expect(run).toMatchObject({ status: 2, stdout: "" });
  });
});
