// Goal: a file becomes the table, all of it or nothing, with the difference told; what `export` prints is
// what `apply` takes, whatever the table holds.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text as textOfStream } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { startRpcNode } from "../support/rpc-node.ts";
import { crosspoint, linesOf, repository } from "./program.ts";

const table = `
services:
  - name: web
    policy: round-robin
routes:
  - name: api
    domain: app.example.com/api
    service: web
    sticky: true
    labels: { team: shop, "example.com/x": "1" }
  - domain: "*.example.com"
    service: web
  - name: db
    port: 5432
    service: postgres
  - name: long-form
    http: { domain: b.example.com, path_prefix: /x }
    service: web
`;

function fileWith(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "crosspoint-apply-")), "routes.yaml");
  writeFileSync(path, text);
  return path;
}

/** Routes r0, r1..., one on each line after the first; the one at `wrong` has no valid domain. */
function manyRoutes(count: number, wrong = -1): string {
  const routes = Array.from({ length: count }, (_, i) => {
    const domain = i === wrong ? "a..b" : `h${i}.example.com`;
    return `  - { name: r${i}, domain: ${domain}, service: web }\n`;
  });
  return `routes:\n${routes.join("")}`;
}

describe("apply", () => {
  test("prints what is new, then nothing, then only what changed", async () => {
    const node = await startRpcNode();
    const rpc = node.server.address;
    const first = await crosspoint(["apply", "-f", fileWith(table)], { rpc });
    expect(first.status).toBe(0);
    expect(linesOf(first)).toEqual([
      "+ service web  round-robin",
      "+ route api  app.example.com/api -> web  sticky  example.com/x=1,team=shop",
      expect.stringMatching(/^\+ route \S+ {2}\*\.example\.com -> web$/),
      "+ route db  tcp:5432 -> postgres",
      "+ route long-form  b.example.com/x -> web",
    ]);
    expect(first.stderr).toBe("5 changed, 0 as they were; revision 1\n");

    const same = await crosspoint(["apply", "-f", fileWith(table)], { rpc });
    expect(same).toEqual({
      status: 0,
      signal: null,
      stdout: "",
      stderr: "0 changed, 5 as they were; revision 1\n",
    });

    const edited = table.replace(
      "/api\n    service: web\n    sticky: true",
      "/v2\n    service: shop",
    );
    const dry = await crosspoint(["apply", "-f", "-", "--dry-run"], { rpc, stdin: edited });
    expect(dry.stdout).toBe(
      "~ route api  match: app.example.com/api -> app.example.com/v2  service: web -> shop  sticky: yes -> no\n",
    );
    expect(dry.stderr).toBe("1 would change, 4 as they were; revision 1\n");
    expect(node.view.table.revision).toBe(1);
    const real = await crosspoint(["apply", "-f", "-"], { rpc, stdin: edited });
    expect(real.stdout).toBe(dry.stdout);
    expect(node.view.table.revision).toBe(2);
  });

  test("export | apply --dry-run shows no difference, in YAML and in JSON", async () => {
    const node = await startRpcNode();
    const rpc = node.server.address;
    await crosspoint(["apply", "-f", fileWith(table)], { rpc });
    for (const flags of [[], ["--json"]]) {
      const exported = await crosspoint(["export", ...flags], { rpc });
      expect(exported).toMatchObject({ status: 0, stderr: "" });
      const dry = await crosspoint(["apply", "-f", "-", "--dry-run"], {
        rpc,
        stdin: exported.stdout,
      });
      expect(dry).toMatchObject({
        status: 0,
        stdout: "",
        stderr: "0 would change, 5 as they were; revision 1\n",
      });
      // And an empty node becomes the same table.
      const other = await startRpcNode();
      await crosspoint(["apply", "-f", "-"], { rpc: other.server.address, stdin: exported.stdout });
      const copied = await crosspoint(["export", ...flags], { rpc: other.server.address });
      expect(copied.stdout).toBe(exported.stdout);
    }
  });

  test("a file that comes late through a pipe is waited for", async () => {
    const node = await startRpcNode();
    const env = { ...process.env, CROSSPOINT_RPC: node.server.address };
    const program = `"${process.execPath}" "${repository}/src/cli/main.ts"`;
    // It takes longer to begin twice than once.
    const late = `{ ${program} export > /dev/null; echo 'services: [{name: web}]'; }`;
    const child = spawn("sh", ["-c", `${late} | ${program} apply -f -`], { env });
    const [said] = await Promise.all([textOfStream(child.stderr), once(child, "close")]);
    expect(said).toBe("1 changed, 0 as they were; revision 1\n");
  });

  test("export prints the short form, with the revision for --if-revision", async () => {
    const node = await startRpcNode();
    const rpc = node.server.address;
    await crosspoint(["apply", "-f", fileWith(table)], { rpc });
    const { stdout } = await crosspoint(["export"], { rpc });
    expect(stdout).toMatch(
      /^# revision 1\nservices:\n {2}- name: web\n {4}policy: round-robin\nroutes:\n/,
    );
    expect(stdout).toContain("  - name: db\n    port: 5432\n    service: postgres\n");
    expect(stdout).not.toContain("createTime");
  });

  test("with --if-revision of an older table ends with 4, and says the current one", async () => {
    const node = await startRpcNode();
    const rpc = node.server.address;
    await crosspoint(["route", "add", "a.example.com", "web"], { rpc });
    await crosspoint(["route", "add", "b.example.com", "web"], { rpc });
    const run = await crosspoint(["apply", "-f", fileWith(table), "--if-revision", "1"], { rpc });
    expect(run).toMatchObject({ status: 4, stdout: "" });
    expect(run.stderr).toContain("--if-revision 2");
    expect(node.view.table.routeCount).toBe(2);
  });

  test("says the line of what the node refused, and nothing was stored", async () => {
    const node = await startRpcNode();
    const rpc = node.server.address;
    const wrong = fileWith(table.replace("*.example.com", "*..example.com"));
    const run = await crosspoint(["apply", "-f", wrong], { rpc });
    expect(run).toMatchObject({ status: 2, stdout: "" });
    expect(run.stderr).toContain(`${wrong}:11: changes[2].put_route.http.domain`);
    expect(node.view.table.routeCount).toBe(0);
  });

  test("names the route of the table that is in the way", async () => {
    const node = await startRpcNode();
    const rpc = node.server.address;
    await crosspoint(["route", "add", "app.example.com/api", "web", "--name", "older"], { rpc });
    const run = await crosspoint(["apply", "-f", fileWith(table)], { rpc });
    expect(run).toMatchObject({ status: 4, stdout: "" });
    expect(run.stderr).toContain("older");
    expect(node.view.table.routeCount).toBe(1);
  });

  test("prints the answer as JSON, and ends with 75 when a worker lags", async () => {
    const node = await startRpcNode();
    const rpc = node.server.address;
    node.serving.serve(0);
    const run = await crosspoint(["apply", "-f", fileWith(table), "--json", "--timeout", "400ms"], {
      rpc,
    });
    expect(run.status).toBe(75);
    expect(JSON.parse(run.stdout)).toMatchObject({
      revision: "1",
      results: [{ action: "ACTION_CREATE" }, { action: "ACTION_CREATE" }, {}, {}, {}],
      lagging: [{ node: "node-1" }],
    });
    expect(run.stderr).toContain("worker 2 has not acknowledged");
  });

  test("--in-parts sends a thousand changes at a time, and waits for the last part only", async () => {
    const node = await startRpcNode();
    const rpc = node.server.address;
    const file = fileWith(manyRoutes(5_001));
    const whole = await crosspoint(["apply", "-f", file], { rpc });
    expect(whole).toMatchObject({ status: 2, stdout: "" });
    expect(whole.stderr).toContain("makes 5001 changes; a node takes 5000 as one: --in-parts");
    const dry = await crosspoint(["apply", "-f", file, "--in-parts", "--dry-run"], { rpc });
    expect(dry.stderr).toBe("5001 would change, 0 as they were; revision 0\n");
    const run = await crosspoint(["apply", "-f", file, "--in-parts"], { rpc });
    expect(run.status).toBe(0);
    expect(linesOf(run)).toHaveLength(5_001);
    expect(run.stderr).toBe("5001 changed, 0 as they were; revision 6\n");
    expect(node.view.table.routeCount).toBe(5_001);
    expect(node.serving.waitedFor).toEqual([6]);
    const twice = ["apply", "-f", file, "--in-parts", "--if-revision", "6"];
    const guarded = await crosspoint(twice, { rpc });
    expect(guarded).toMatchObject({ status: 2, stdout: "" });
    expect(guarded.stderr).toMatch(/^crosspoint: --if-revision: /);
  });

  test("takes 5,000 changes as one", async () => {
    const node = await startRpcNode();
    const run = await crosspoint(["apply", "-f", fileWith(manyRoutes(5_000))], {
      rpc: node.server.address,
    });
    expect(run.stderr).toBe("5000 changed, 0 as they were; revision 1\n");
  });

  test("--in-parts says how far it came, and the line of what was refused", async () => {
    const node = await startRpcNode();
    const file = fileWith(manyRoutes(1_500, 1_200));
    const rpc = node.server.address;
    const dry = await crosspoint(["apply", "-f", file, "--in-parts", "--dry-run"], { rpc });
    expect(dry.stderr).toMatch(/^crosspoint: the first 1000 of 1500 changes would do, then: /);
    const run = await crosspoint(["apply", "-f", file, "--in-parts"], { rpc });
    expect(run).toMatchObject({ status: 2, stdout: "" });
    expect(run.stderr).toMatch(/^crosspoint: the first 1000 of 1500 changes are stored, then: /);
    expect(run.stderr).toContain(`${file}:1202: changes[200].put_route.http.domain`);
    expect(node.view.table.routeCount).toBe(1_000);
  });

  test("of a file that names nothing does nothing; of one that is not there, or not named, fails", async () => {
    const rpc = (await startRpcNode()).server.address;
    const empty = await crosspoint(["apply", "-f", fileWith("# soon\n")], { rpc });
    expect(empty).toMatchObject({ status: 0, stdout: "" });
    expect(empty.stderr).toContain("nothing to do");
    const missing = await crosspoint(["apply", "-f", "/nowhere/routes.yaml"], { rpc });
    expect(missing).toMatchObject({ status: 1, stdout: "" });
    expect(missing.stderr).toContain("/nowhere/routes.yaml");
    expect(await crosspoint(["apply"], { rpc })).toMatchObject({ status: 2, stdout: "" });
  });
});
