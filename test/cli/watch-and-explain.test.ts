// Goal: `watch` tells changes as they happen and from where to go on; `explain` asks what was typed,
// byte for byte, and prints every step of the answer.

import { describe, expect, test } from "vitest";
import { parseRevision } from "../../src/model/revision.ts";
import { putRouteChange, removeRouteChange, startRpcNode } from "../support/rpc-node.ts";
import { crosspoint, dispatched, linesOf, start } from "./program.ts";

describe("watch", () => {
  test("prints the table, then every change, and ends with its --timeout", async () => {
    const node = await startRpcNode();
    await node.client.call("putService", { service: { name: "web", policy: 2 } });
    const running = start(["watch", "--timeout", "4s"], { rpc: node.server.address });
    await running.printed(/service web {2}round-robin/);
    await node.client.call("registerBackend", {
      backend: { service: "web", address: "10.0.0.7:80" },
    });
    await node.client.call("applyChanges", {
      changes: [putRouteChange("a.example.com/x", "web", { name: "a" })],
    });
    await node.client.call("applyChanges", { changes: [removeRouteChange("a")] });
    await node.client.call("deregisterBackend", { service: "web", address: "10.0.0.7:80" });
    await node.client.call("removeService", { name: "web" });
    const run = await running.ended;
    expect(linesOf(run)).toEqual([
      "1  + service web  round-robin",
      "2  + backend web -> 10.0.0.7:80  weight 100",
      "3  + route a  a.example.com/x -> web",
      "4  - route a",
      "5  - backend web -> 10.0.0.7:80",
      "6  - service web",
    ]);
    expect(run).toMatchObject({ status: 0, stderr: "go on with `crosspoint watch --after 6`\n" });
  });

  test("goes on after a revision, one JSON value per line, until the node leaves: 69", async () => {
    const node = await startRpcNode();
    const rpc = node.server.address;
    for (const name of ["one", "two", "three"])
      await node.client.call("putService", { service: { name } });
    const running = start(["watch", "--after", "1", "--json"], { rpc });
    await running.printed(/"three"[^]*"bookmark".*\n/);
    await node.server.close(0);
    const run = await running.ended;
    const events = linesOf(run).map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events.filter((event) => "servicePut" in event)).toMatchObject([
      { revision: "2", servicePut: { name: "two" } },
      { revision: "3", servicePut: { name: "three" } },
    ]);
    expect(run.status).toBe(69);
    expect(run.stderr).toContain("go on with `crosspoint watch --after 3`");
  });

  test("after a revision that is not there yet fails, and says what to do", async () => {
    const rpc = (await startRpcNode()).server.address;
    const run = await crosspoint(["watch", "--after", "99"], { rpc });
    expect(run).toMatchObject({ status: 1, stdout: "" });
    expect(run.stderr).toMatch(/watch from 0 again/);
  });
});

describe("explain", () => {
  test.for([
    ["http://app.example.com/api", { host: "app.example.com", path: "/api" }],
    ["app.example.com", { host: "app.example.com", path: "/" }],
    [
      "https://user:pw@App.example.com:8443/a/../b//c?x=1#top",
      { host: "App.example.com:8443", path: "/a/../b//c?x=1" },
    ],
    ["app.example.com?x=1", { host: "app.example.com", path: "/?x=1" }],
  ] as const)("asks %s as it was written", async ([url, question]) => {
    const node = await startRpcNode();
    const run = await crosspoint(
      ["explain", url, "--method", "POST", "--header", "Cookie: _backend=x", "--header", "X-A:b:c"],
      { rpc: node.server.address },
    );
    expect(run).toMatchObject({
      status: 0,
      stdout:
        "host app.example.com: route web\nroute web -> service web -> backend 10.0.0.7:80  (revision 7)\n",
    });
    expect(node.serving.questions).toMatchObject([{ kind: "http", method: "POST", ...question }]);
    const [asked] = node.serving.questions;
    expect(asked?.kind === "http" ? asked.headers : {}).toMatchObject({
      Cookie: "_backend=x",
      "X-A": "b:c",
    });
  });

  test("asks for a port; ends with 3 when nothing matched, with all steps", async () => {
    const node = await startRpcNode();
    node.serving.explanation = {
      revision: parseRevision(7),
      route: "",
      service: "",
      backend: "",
      status: 0,
      steps: ["no TCP route", "on port 5432\u001b[2J"],
    };
    const run = await crosspoint(["explain", "tcp:5432"], { rpc: node.server.address });
    expect(node.serving.questions).toEqual([{ kind: "tcp", port: 5432 }]);
    // What others wrote does not move the cursor.
    expect(run).toMatchObject({
      status: 3,
      stdout: "no TCP route\non port 5432\\x1b[2J\nno route  (revision 7)\n",
    });
  });

  test.for([
    [{ route: "web", status: 308 }, 0, "route web -> the router answers 308"],
    [{ route: "web", status: 403 }, 0, "route web -> the router answers 403"],
    [{ route: "web", status: 404 }, 3, "route web -> the router answers 404"],
    [
      { route: "web", service: "shop", status: 503 },
      0,
      "route web -> service shop -> no backend: the router answers 503",
    ],
    [{ status: 404 }, 3, "no route: 404"],
  ] as const)("says what the router answers by itself: %j", async ([answered, status, line]) => {
    const node = await startRpcNode();
    const nothing = { revision: parseRevision(7), route: "", service: "", backend: "", steps: [] };
    node.serving.explanation = { ...nothing, ...answered };
    const run = await dispatched(["explain", "a.example.com"], {
      CROSSPOINT_RPC: node.server.address,
    });
    expect(run).toEqual({ status, stdout: `${line}  (revision 7)\n`, stderr: "" });
  });

  test("asks with -X, -H and --from, as curl is asked and who asks", async () => {
    const node = await startRpcNode();
    const words = ["a.example.com", "-X", "PUT", "-H", "X-A: 1", "--from", "192.0.2.7"];
    const run = await dispatched(["explain", ...words], { CROSSPOINT_RPC: node.server.address });
    expect(run.status).toBe(0);
    expect(node.serving.questions).toMatchObject([
      { kind: "http", method: "PUT", headers: { "X-A": "1" }, clientAddress: "192.0.2.7" },
    ]);
  });

  test.for([
    ["https://a.example.com", [], { "X-Forwarded-Proto": "https" }],
    ["WSS://a.example.com", ["-H", "x-a: 1"], { "X-Forwarded-Proto": "https", "x-a": "1" }],
    ["https://a.example.com", ["-H", "x-forwarded-proto: http"], { "x-forwarded-proto": "http" }],
    ["http://a.example.com", [], {}],
    ["a.example.com", [], {}],
  ] as const)("asks %s, %j by the scheme that it says", async ([target, words, headers]) => {
    const node = await startRpcNode();
    await dispatched(["explain", target, ...words], { CROSSPOINT_RPC: node.server.address });
    expect(node.serving.questions).toMatchObject([{ kind: "http" }]);
    const [asked] = node.serving.questions;
    expect(asked?.kind === "http" ? { ...asked.headers } : {}).toEqual(headers);
  });

  test.for([
    ["tcp:5432", ["--from", "192.0.2.7"], "--from: is for URLs; tcp:5432 has connections"],
    ["tcp:5432", ["-X", "PUT"], "--method: is for URLs"],
    ["a.example.com", ["-H", "X-A=1"], '--header: "X-A=1" is not NAME:VALUE'],
    ["a.example.com", ["-H", "X-A:1", "-H", "X-A:2"], '--header: "X-A" is given twice'],
  ] as const)("refuses %s with %j", async ([target, words, message]) => {
    const run = await dispatched(["explain", target, ...words], { CROSSPOINT_RPC: "127.0.0.1:1" });
    expect(run.status).toBe(2);
    expect(run.stderr).toContain(message);
  });
});
