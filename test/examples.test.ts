// Goal: every example does what its README says, with the command that its README gives.

import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { crosspoint, dispatched, linesOf, repository, start } from "./cli/program.ts";
import { startRpcNode } from "./support/rpc-node.ts";

const folder = join(repository, "examples");

test("every example has a README with one command, of files that are there", () => {
  const examples = readdirSync(folder);
  expect(examples).toEqual([
    "backends-that-fail",
    "canary-and-maintenance",
    "follow-changes",
    "routes-from-a-file",
    "self-registering-backend",
  ]);
  for (const example of examples) {
    const commands = readFileSync(join(folder, example, "README.md"), "utf8").match(/^ {4}\S.*$/gm);
    expect(commands).toHaveLength(1);
    const [file = ""] = /examples\/\S+/.exec(commands?.[0] ?? "") ?? [];
    expect(readFileSync(join(repository, file), "utf8")).not.toBe("");
  }
});

test("routes-from-a-file is a table that a node takes", async () => {
  const node = await startRpcNode();
  const file = join(folder, "routes-from-a-file/routes.yaml");
  const run = await crosspoint(["apply", "-f", file], { rpc: node.server.address });
  expect(run).toMatchObject({ status: 0, stderr: "5 changed, 0 as they were; revision 1\n" });
  expect(linesOf(run)).toContain("+ route postgres  tcp:5432 -> postgres");
});

test("canary-and-maintenance is a table that a node takes, and gives back as it is", async () => {
  const node = await startRpcNode();
  const rpc = node.server.address;
  const file = join(folder, "canary-and-maintenance/routes.yaml");
  const run = await crosspoint(["apply", "-f", file], { rpc });
  expect(run).toMatchObject({ status: 0, stderr: "7 changed, 0 as they were; revision 1\n" });
  expect(linesOf(run)).toEqual([
    "+ route shop  shop.example.com -> shop 90, shop-next 10  sticky pages",
    "+ route shop-testers  shop.example.com [header x-canary=1] -> shop-next",
    "+ route search  shop.example.com/search [GET] -> search  mirror rateLimit",
    "+ route old-shop  store.example.com -> redirect 308 to https://shop.example.com",
    "+ route accounts  accounts.example.com -> redirect 308 to https, else accounts",
    "+ route shop-reports  shop.example.com/reports -> answer 503",
    "+ route admin  shop.example.com/admin -> admin  rewrite access",
  ]);
  const again = await crosspoint(["apply", "-f", file], { rpc });
  expect(again.stderr).toBe("0 changed, 7 as they were; revision 1\n");
  const exported = await crosspoint(["export"], { rpc });
  const changed = exported.stdout.replace("weight: 90", "weight: 70");
  const difference = await crosspoint(["apply", "-f", "-", "--dry-run"], { rpc, stdin: changed });
  expect(difference).toMatchObject({
    status: 0,
    stdout: "~ route shop  split: shop 90, shop-next 10 -> shop 70, shop-next 10\n",
    stderr: "1 would change, 6 as they were; revision 1\n",
  });
});

test("backends-that-fail is a table that a node takes, and gives back as it is", async () => {
  const node = await startRpcNode();
  const env = { CROSSPOINT_RPC: node.server.address };
  const file = join(folder, "backends-that-fail/routes.yaml");
  const run = await dispatched(["apply", "-f", file], env);
  expect(run).toMatchObject({ status: 0, stderr: "7 changed, 0 as they were; revision 1\n" });
  expect(run.stdout.split("\n").slice(0, 4)).toEqual([
    "+ service shop  peak-ewma  http:/healthz each 5s within 1s, down after 2, expects 200 204  slow start 30s  at most 100 requests to a backend; 500 wait up to 2s  ejects after 3 failures, below 60 % success, for 5s up to 120s",
    "+ service cart  ring-hash by cookie cart  http:/healthz",
    "+ service postgres  leader  tcp  TCP: 2 tries, connect 0.5s, keepalive 60s",
    "+ route shop-example-com  shop.example.com -> shop  retry timeout",
  ]);
  const again = await dispatched(["apply", "-f", file], env);
  expect(again.stderr).toBe("0 changed, 7 as they were; revision 1\n");
  const shown = await dispatched(["route", "get", "shop-payments"], env);
  expect(shown.stdout).toMatch(/^retry +1 try\ntimeout +30s$/m);
});

test("self-registering-backend is there while it runs, and gone when it ends", async () => {
  const node = await startRpcNode();
  const script = join(folder, "self-registering-backend/backend.ts");
  const backend = start([], { script, rpc: node.server.address });
  const [, address = ""] = (await backend.printed(/hello at \S+/)).split(" at ");
  const [registered] = node.view.table.backends();
  expect(registered).toMatchObject({ service: "hello", address, ttlMs: 10_000 });
  expect(await (await fetch(`http://${address}/`)).text()).toBe(`hello from ${address}\n`);
  backend.kill("SIGTERM");
  expect(await backend.ended).toMatchObject({ status: 0, stderr: "" });
  expect(node.view.table.backendCount).toBe(0);
});

test("follow-changes prints the domains after every change", async () => {
  const node = await startRpcNode();
  const rpc = node.server.address;
  const child = spawn(process.execPath, [join(folder, "follow-changes/domains.cjs")]);
  onTestFinished(() => void child.kill());
  let printed = "";
  const printedAll = new Promise<void>((resolve) => {
    child.stdout.on("data", (chunk: Buffer) => {
      printed += chunk.toString();
      if (printed.includes("3: b.example.com")) resolve();
    });
  });
  await crosspoint(["route", "add", "a.example.com", "web"], { rpc });
  const watch = start(["watch", "--json"], { rpc });
  watch.pipeTo(child.stdin);
  await watch.printed(/"bookmark"/);
  await crosspoint(["route", "add", "b.example.com", "web"], { rpc });
  await crosspoint(["route", "remove", "a-example-com"], { rpc });
  await printedAll;
  expect(printed).toBe("1: a.example.com\n2: a.example.com b.example.com\n3: b.example.com\n");
});
