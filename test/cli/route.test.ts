// Goal: `crosspoint route` says to a node what was typed, and to people and programs what the node said.

import { describe, expect, test } from "vitest";
import { startRpcNode } from "../support/rpc-node.ts";
import { crosspoint, dispatched, linesOf } from "./program.ts";

describe("route add", () => {
  test("adds a domain, says what it became, and the route is there", async () => {
    const node = await startRpcNode();
    const rpc = node.server.address;
    const run = await crosspoint(
      [
        "route",
        "add",
        "app.example.com/api",
        "web",
        "--name",
        "api",
        "--sticky",
        "--label",
        "team=shop",
      ],
      { rpc },
    );
    expect(run).toEqual({
      status: 0,
      signal: null,
      stdout: "api  app.example.com/api -> web  sticky  team=shop  (revision 1)\n",
      stderr: "",
    });
    const { route } = await node.client.call("getRoute", { name: "api" });
    expect(route).toMatchObject({
      match: { $case: "http", value: { domain: "app.example.com", pathPrefix: "/api" } },
      service: "web",
      sticky: true,
      labels: { team: "shop" },
    });
    const again = await crosspoint(["route", "get", "api", "--rpc", rpc]);
    expect(linesOf(again)[0]).toBe("FIELD     VALUE");
    expect(again.stdout).toMatch(/^created {3}\d{4}-\d\d-\d\dT/m);
  });

  test("adds a port that was named, and one that was not", async () => {
    const node = await startRpcNode();
    const rpc = node.server.address;
    const named = await crosspoint(["route", "add", "tcp:5432", "postgres"], { rpc });
    expect(named.stdout).toBe("tcp-5432  tcp:5432 -> postgres  (revision 1)\n");
    const any = await crosspoint(["route", "add", "tcp", "redis"], { rpc });
    expect(any.stdout).toBe("tcp-3000  tcp:3000 -> redis  (revision 2)\n");
  });

  test("answers proto3 JSON with every field to --json, before the command or after it", async () => {
    const node = await startRpcNode();
    const rpc = node.server.address;
    const words = ["route", "add", "app.example.com", "web"];
    const run = await crosspoint([...words, "--json"], { rpc });
    expect(JSON.parse(run.stdout)).toMatchObject({
      route: {
        name: "app-example-com",
        http: { domain: "app.example.com", pathPrefix: "/" },
        service: "web",
        sticky: false,
        labels: {},
        revision: "1",
        createTime: expect.stringMatching(/Z$/),
      },
      revision: "1",
      lagging: [],
    });
    const before = await crosspoint(["--json", "--rpc", rpc, ...words]);
    expect(before.stdout).toBe(run.stdout);
  });

  test("waits as it is told, and ends with 75 when a worker lags", async () => {
    const node = await startRpcNode();
    const rpc = node.server.address;
    node.serving.serve(0);
    const stored = await crosspoint(["route", "add", "a.example.com", "web", "--wait", "none"], {
      rpc,
    });
    expect(stored.status).toBe(0);
    expect(node.serving.waitedFor).toEqual([]);
    const run = await crosspoint(["route", "add", "b.example.com", "web", "--timeout", "400ms"], {
      rpc,
    });
    expect(run.status).toBe(75);
    expect(run.stdout).toBe("b-example-com  b.example.com -> web  (revision 2)\n");
    expect(run.stderr).toBe(
      "not yet served by node node-1, which is at revision 0: worker 2 has not acknowledged revision 2 (serves 0)\n",
    );
  });

  test("ends with 4 and names the route that is in the way", async () => {
    const node = await startRpcNode();
    const rpc = node.server.address;
    await crosspoint(["route", "add", "app.example.com", "web", "--name", "mine"], { rpc });
    const run = await crosspoint(["route", "add", "APP.example.com", "shop", "--name", "yours"], {
      rpc,
    });
    expect(run.status).toBe(4);
    expect(run.stdout).toBe("");
    expect(run.stderr).toMatch(/^crosspoint: .*"mine"/);
    expect(run.stderr).toContain("crosspoint route get mine");
  });

  test.for([
    [["https://app.example.com/api", "web"], /is a URL; write app\.example\.com\/api/],
    [["tcp:99999", "web"], /"99999" is not a port/],
    [["a.example.com", "web", "--label", "team"], /--label: "team" is not KEY=VALUE/],
    [["a.example.com", "web", "--label", "a=1", "--label", "a=2"], /--label: "a" is given twice/],
    [["a.example.com"], /SERVICE: is missing; name it, or say --split, --redirect or --answer/],
    [["a.example.com", "web", "shop"], /too many arguments/],
    [["a.example.com", "web", "--stiky"], /unknown option '--stiky'\n\(Did you mean --sticky\?\)/],
    [["a.example.com", "web", "--wait", "some"], /Allowed choices are none, node, all/],
    [["a.example.com", "web", "--timeout", "5"], /--timeout: "5" is not a duration/],
    // What only the node knows is wrong usage, too.
    [["a..example.com", "web"], /route\.http\.domain: .*empty label/],
    [["a.example.com", "w b"], /route\.service: "w b" is not a service name/],
  ] as const)("ends with 2 for %j", async ([words, message]) => {
    const node = await startRpcNode();
    const run = await dispatched(["route", "add", ...words], {
      CROSSPOINT_RPC: node.server.address,
    });
    expect(run.stderr).toMatch(message);
    expect(run.stderr).toMatch(/^crosspoint: /);
    expect(run).toMatchObject({ status: 2, stdout: "" });
  });
});

describe("route list", () => {
  test("prints a table, every page of it, and filters", async () => {
    const node = await startRpcNode();
    const rpc = node.server.address;
    const changes = Array.from({ length: 2_345 }, (_, i) => ({
      change: {
        $case: "putRoute",
        value: {
          name: `r${String(i).padStart(4, "0")}`,
          match: { $case: "http", value: { domain: `h${i}.example.com` } },
          service: i === 7 ? "odd" : "web",
          labels: i === 7 ? { a: "1", b: "2" } : {},
        },
      },
    }));
    await node.client.call("applyChanges", { changes });
    const all = await crosspoint(["route", "list"], { rpc });
    expect(linesOf(all)).toHaveLength(2_346);
    const odd = await crosspoint(["route", "list", "--filter", "service=odd", "--filter", "a=1"], {
      rpc,
    });
    expect(odd.stdout).toBe(
      "NAME   MATCH           TARGET  OPTIONS  LABELS\nr0007  h7.example.com  odd     -        a=1,b=2\n",
    );
    const json = await crosspoint(["route", "list", "--json"], { rpc });
    const list = JSON.parse(json.stdout) as { routes: unknown[]; revision: string };
    expect(list.routes).toHaveLength(2_345);
    expect(list.revision).toBe("1");
  });

  test("prints the head alone, and an empty list as JSON, when there is nothing", async () => {
    const rpc = (await startRpcNode()).server.address;
    expect((await crosspoint(["route", "list"], { rpc })).stdout).toBe(
      "NAME  MATCH  TARGET  OPTIONS  LABELS\n",
    );
    const json = await crosspoint(["route", "list", "--json"], { rpc });
    expect(JSON.parse(json.stdout)).toEqual({ routes: [], nextPageToken: "", revision: "0" });
  });
});

test("route get and route remove end with 3 for a route that is not there", async () => {
  const node = await startRpcNode();
  const rpc = node.server.address;
  for (const verb of ["get", "remove"]) {
    const run = await crosspoint(["route", verb, "nobody"], { rpc });
    expect(run).toMatchObject({ status: 3, stdout: "" });
    expect(run.stderr).toMatch(/^crosspoint: .*"nobody"/);
  }
});

test("route remove removes", async () => {
  const node = await startRpcNode();
  const rpc = node.server.address;
  await crosspoint(["route", "add", "app.example.com", "web"], { rpc });
  const run = await crosspoint(["route", "remove", "app-example-com"], { rpc });
  expect(run).toMatchObject({ status: 0, stdout: "removed app-example-com  (revision 2)\n" });
  expect(node.view.table.routeCount).toBe(0);
});
