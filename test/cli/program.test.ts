// Goal: the program as a whole: help, wrong usage, exit statuses, streams, signals.

import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { helpTexts } from "../../src/cli/commander.ts";
import { allCommands } from "../../src/cli/commands.ts";
import { terminalOf } from "../../src/cli/terminal.ts";
import { startRpcNode } from "../support/rpc-node.ts";
import { crosspoint, dispatched, start } from "./program.ts";

describe("--help", () => {
  test("is what test/cli/help.txt holds, so that documents may quote it", async () => {
    const terminal = terminalOf(process.stdout, process.stderr, {});
    const texts = helpTexts(
      allCommands(() => Promise.resolve(0)),
      { terminal, env: {}, version: "0" },
    );
    await expect(texts.join("\n")).toMatchFileSnapshot("help.txt");
    const run = await crosspoint(["route", "add", "--help"]);
    expect(run).toMatchObject({ status: 0, stderr: "" });
    expect(texts.some((text) => run.stdout.startsWith(text.trimEnd()))).toBe(true);
    expect(run.stdout).toContain("Examples:\n  crosspoint route add app.example.com web\n");
  });

  test("--version prints the version", async () => {
    expect(await crosspoint(["--version"])).toMatchObject({
      status: 0,
      stdout: `${packageJson.version}\n`,
      stderr: "",
    });
  });
});

test.for([
  [[], /^Usage: crosspoint/],
  [["route"], /^Usage: crosspoint route/],
  [["rout"], /^crosspoint: unknown command 'rout'\n\(Did you mean route\?\)/],
  [["route", "ad"], /^crosspoint: unknown command 'ad'/],
  [["route", "list", "--rpc"], /argument missing/],
  [["route", "list", "--rpc", "nowhere"], /--rpc: "nowhere" is not HOST:PORT or unix:PATH/],
  [["route", "list", "--rpc", "127.0.0.1:0"], /--rpc: "127\.0\.0\.1:0" is not HOST:PORT/],
  [["watch", "--after", "x"], /--after: "x" is not a whole number/],
  [["explain", "tcp:x"], /"x" is not a port/],
  [["explain", "http://"], /is neither a URL nor tcp:PORT/],
  [["explain", "a", "--header", "x"], /--header: "x" is not NAME:VALUE/],
  [["completion", "tcsh"], /SHELL: "tcsh" is not one of bash, zsh, fish/],
  [["serve", "--http", "8080"], /^crosspoint: --http: "8080" is not IP:PORT/],
  [["serve", "--store", "etcd:h:2379"], /^crosspoint: --store: "etcd:h:2379": .* http:\/\/ or/],
  [["serve", "--etcd-ca", "/ca"], /^crosspoint: --etcd-ca: is for an etcd, and none is named/],
  [["serve", "--wrokers", "2"], /unknown option '--wrokers'\n\(Did you mean --workers\?\)/],
  [["serve", "extra"], /too many arguments/],
] as const)("%j is wrong usage: 2, and nothing on standard output", async ([words, message]) => {
  const run = await dispatched(words);
  expect(run.stderr).toMatch(message);
  expect(run).toMatchObject({ status: 2, stdout: "" });
});

test("wrong usage is 2 for the process, too", async () => {
  expect(await crosspoint(["rout"])).toMatchObject({ status: 2, signal: null, stdout: "" });
});

test("a wrong CROSSPOINT_RPC is told by its name", async () => {
  const run = await dispatched(["route", "list"], { CROSSPOINT_RPC: "7070" });
  expect(run).toMatchObject({ status: 2, stdout: "" });
  expect(run.stderr).toMatch(/^crosspoint: CROSSPOINT_RPC: "7070" is not HOST:PORT/);
});

describe("a node that cannot be reached is 69", () => {
  test("when nobody listens, over TCP and over a socket file", async () => {
    const tcp = await crosspoint(["route", "list"], { rpc: `127.0.0.1:${await portOfNobody()}` });
    expect(tcp).toMatchObject({ status: 69, stdout: "" });
    expect(tcp.stderr).toMatch(
      /^crosspoint: the node at 127\.0\.0\.1:\d+ cannot be reached: connect ECONNREFUSED 127\.0\.0\.1:\d+; is `crosspoint serve`/,
    );
    const unix = await crosspoint(["route", "list", "--rpc", "unix:/nowhere.sock"]);
    expect(unix).toMatchObject({ status: 69 });
    expect(unix.stderr).toContain("connect ENOENT /nowhere.sock");
  });

  test("when somebody accepts and says nothing", async () => {
    const mute = createServer();
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void mute.close());
    const rpc = `127.0.0.1:${(mute.address() as AddressInfo).port}`;
    const run = await crosspoint(["route", "list", "--timeout", "500ms"], { rpc });
    expect(run).toMatchObject({ status: 69, stdout: "" });
    expect(run.stderr).toMatch(/no connection within 500 ms/);
  });

  test("but not when http_proxy points elsewhere: a node is reached directly", async () => {
    const node = await startRpcNode();
    const proxy = `http://127.0.0.1:${await portOfNobody()}`;
    const env = { http_proxy: proxy, HTTP_PROXY: proxy, grpc_proxy: proxy };
    const run = await crosspoint(["route", "list"], { rpc: node.server.address, env });
    expect(run.status).toBe(0);
  });
});

test("an answer that does not come is 1, and says that the change may have been stored", async () => {
  const node = await startRpcNode();
  node.serving.explain = () => new Promise(() => {});
  const run = await crosspoint(["explain", "a.example.com", "--timeout", "700ms"], {
    rpc: node.server.address,
  });
  expect(run).toMatchObject({ status: 1, stdout: "" });
  expect(run.stderr).toMatch(/deadline|within 700 ms/);
});

test("a node over a socket file is a node", async () => {
  const path = join("/tmp", `crosspoint-test-${process.pid}.sock`);
  await startRpcNode({ address: { kind: "unix", path } });
  expect(await crosspoint(["route", "list", "--rpc", `unix:${path}`])).toMatchObject({ status: 0 });
});

test("a reader that has seen enough ends the program quietly", async () => {
  const node = await startRpcNode();
  const running = start(["watch"], { rpc: node.server.address });
  running.closeOutput();
  await node.client.call("putService", { service: { name: "web" } });
  expect(await running.ended).toMatchObject({ status: 0, signal: null, stderr: "" });
});

test.for(["SIGINT", "SIGTERM"] as const)(
  "%s ends a client as a shell expects it",
  async (signal) => {
    const node = await startRpcNode();
    await node.client.call("putService", { service: { name: "web" } });
    const running = start(["watch"], { rpc: node.server.address });
    await running.printed(/service web/);
    running.kill(signal);
    expect(await running.ended).toMatchObject({ signal });
  },
);

async function portOfNobody(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
