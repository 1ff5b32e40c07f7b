// Goal: services and backends, as typed, reach the node; what the node knows of them is shown.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
      "NAME  POLICY       PROXY  CHECK  USABLE  BUSY  WAITING  PAUSED  SETTINGS",
      "shop  -            -      -      0/0     0     0        -       -",
      "web   round-robin  -      -      0/0     0     0        -       -",
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
    expect(linesOf(list)[1]).toMatch(/^web .* 1\/3 {5}12 {4}4 {8}9\ds {5}-$/);
    // Of a node that does not tell it.
    expect(linesOf(list)[2]).toBe("old   -       -      -      -       -     -        -       -");
  });

  test("put with --send-proxy, shown and kept", async () => {
    const rpc = (await startRpcNode()).server.address;
    const put = await crosspoint(["service", "put", "web", "--send-proxy", "v2"], { rpc });
    expect(put).toMatchObject({ status: 0, stdout: "web  sends PROXY v2  (revision 1)\n" });
    const list = await crosspoint(["service", "list"], { rpc });
    expect(linesOf(list)).toEqual([
      "NAME  POLICY  PROXY  CHECK  USABLE  BUSY  WAITING  PAUSED  SETTINGS",
      "web   -       v2     -      0/0     0     0        -       -",
    ]);
    const exported = await crosspoint(["export"], { rpc });
    expect(exported.stdout).toMatch(/- name: web\n {4}proxyProtocol: v2\n/);
    const wrong = await crosspoint(["service", "put", "web", "--send-proxy", "v3"], { rpc });
    expect(wrong).toMatchObject({ status: 2 });
    expect(wrong.stderr).toMatch(/Allowed choices are v1, v2/);
    const none = await crosspoint(["service", "put", "web"], { rpc });
    expect(none).toMatchObject({ status: 0, stdout: "web  (revision 2)\n" });
  });

  test("put with everything: said, listed, exported and kept", async () => {
    const node = await startRpcNode();
    const env = { CROSSPOINT_RPC: node.server.address };
    const put = await dispatched(
      (
        "service put web --policy ring-hash --hash header:X-User --zone-percent 60 --slow-start 30s " +
        "--check http:/healthz --check-host app.test --check-status 200-201,204 --check-body ok " +
        "--check-interval 5s --check-timeout 500ms --check-healthy 2 --check-unhealthy 4 " +
        "--eject-failures 3 --eject-success 60 --eject-time 5s --eject-time-max 1m " +
        "--max-requests 100 --max-requests-per-backend 10 --max-connections 20 " +
        "--max-connections-per-backend 30 --queue 50 --queue-time 2s " +
        "--tcp-tries 2 --tcp-connect-time 1s --tcp-idle-time 10m --tcp-half-closed-time 1m " +
        "--tcp-keepalive 30s"
      ).split(" "),
      env,
    );
    expect(put).toMatchObject({ status: 0, stderr: "" });
    expect(put.stdout.trimEnd().split("  ")).toEqual([
      "web",
      "ring-hash by header x-user",
      'http:/healthz each 5s within 0.5s, up after 2, down after 4, host app.test, expects 200 201 204, expects "ok"',
      "slow start 30s",
      "own zone first while 60 % are usable",
      "at most 100 requests, 20 connections, 10 requests to a backend, 30 connections to a backend; 50 wait up to 2s",
      "ejects after 3 failures, below 60 % success, for 5s up to 60s",
      "TCP: 2 tries, connect 1s, idle 600s, half-closed 60s, keepalive 30s",
      "(revision 1)",
    ]);
    const list = await dispatched(["service", "list"], env);
    expect(list.stdout.split("\n")[1]).toMatch(
      /^web +ring-hash by header x-user +- +http:\/healthz .* slow start 30s; own zone first .*; TCP: 2 tries/,
    );
    const exported = await dispatched(["export"], env);
    expect(exported.stdout).toContain("  - name: web\n    policy: ring-hash\n    healthCheck:\n");
    const again = await dispatched(["apply", "-f", fileWith(exported.stdout)], env);
    expect(again.stderr).toBe("0 changed, 1 as they were; revision 1\n");
  });

  test.for<readonly [words: string, shown: string]>([
    ["--check tcp", "web  tcp each 10s within 1s, up after 1, down after 3"],
    [
      "--check grpc:shop.v1.Shop --check-interval 500ms",
      "web  grpc:shop.v1.Shop each 0.5s within 0.5s, up after 1, down after 3",
    ],
    ["--policy ring-hash --hash path", "web  ring-hash by path"],
    ["--policy ring-hash --hash client", "web  ring-hash"],
    ["--policy ring-hash --hash cookie:sid", "web  ring-hash by cookie sid"],
    ["--policy leader --eject off", "web  leader  ejects nothing"],
    ["--eject on", "web"],
    ["--queue 5", "web  5 wait"],
  ])("put %s", async ([words, shown]) => {
    const rpc = (await startRpcNode()).server.address;
    const put = await dispatched(["service", "put", "web", ...words.split(" ")], {
      CROSSPOINT_RPC: rpc,
    });
    expect(put).toMatchObject({ status: 0, stdout: `${shown}  (revision 1)\n`, stderr: "" });
  });

  test.for<readonly [words: string, says: RegExp]>([
    ["--check http:healthz", /--check: "http:healthz" is not http:\/PATH, tcp or grpc/],
    ["--policy best", /Allowed choices are random, round-robin, least-loaded/],
    ["--check-interval 5s", /--check-interval: goes with --check, which is not there/],
    ["--check tcp --check-status 200", /--check-status: is for --check http:\/PATH; tcp has none/],
    ["--check http:/ --check-status 99", /--check-status: "99" is not a status or a range/],
    ["--check http:/ --check-status 299-200", /--check-status: "299-200" is not a status/],
    ["--hash path", /--hash: goes with --policy ring-hash/],
    ["--policy ring-hash --hash header", /--hash: "header" is not header:NAME/],
    ["--eject off --eject-time 5s", /--eject-time: nothing is ejected with --eject off/],
    ["--queue-time 5s", /--queue-time: goes with --queue/],
    ["--queue 0", /--queue: "0" is not a whole number from 1 on/],
    ["--queue 4294967301", /--queue: "4294967301" is too many/],
    ["--slow-start soon", /--slow-start: "soon" is not a duration/],
    ["--eject maybe", /Allowed choices are on, off/],
  ])("put %s is refused here", async ([words, says]) => {
    const put = await dispatched(["service", "put", "web", ...words.split(" ")]);
    expect(put).toMatchObject({ status: 2, stdout: "" });
    expect(put.stderr).toMatch(says);
  });

  test("what the node refuses is told", async () => {
    const rpc = (await startRpcNode()).server.address;
    const put = await dispatched(["service", "put", "web", "--queue", "100001"], {
      CROSSPOINT_RPC: rpc,
    });
    expect(put).toMatchObject({ status: 2, stdout: "" });
    expect(put.stderr).toMatch(/service\.limits\.queue: 100001 is not within 1 to 100000/);
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

  test("remove passes --drain on: a node without workers says that it cannot", async () => {
    const rpc = (await startRpcNode()).server.address;
    await crosspoint(["backend", "add", "web", "10.0.0.7:8080"], { rpc });
    const run = await crosspoint(["backend", "remove", "web", "10.0.0.7:8080", "--drain", "30s"], {
      rpc,
    });
    expect(run).toMatchObject({ status: 1, stdout: "" });
    expect(run.stderr).toBe("crosspoint: this node does not know what is open in its workers\n");
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

function fileWith(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "crosspoint-service-")), "services.yaml");
  writeFileSync(path, text);
  return path;
}
