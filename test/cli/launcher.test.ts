// Goal: whoever starts the launcher sees the program, whichever Node is on PATH: words, exit status,
// signals. An old Node is played by one that says it is old.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { startRpcNode } from "../support/rpc-node.ts";
import { crosspoint, type RunOptions, repository, start } from "./program.ts";

const script = join(repository, packageJson.bin.crosspoint);

/** Preloaded, makes the launcher believe that it runs on Node 20; `extra` is more to preload. */
function old(extra = ""): RunOptions {
  const preload = join(mkdtempSync(join(tmpdir(), "crosspoint-launcher-")), "old.cjs");
  writeFileSync(
    preload,
    `const versions = { ...process.versions, node: "20.20.2" };
     Object.defineProperty(process, "versions", { value: versions });\n${extra}`,
  );
  return { script, nodeFlags: ["--require", preload] };
}

describe.for([
  ["a new Node", () => ({ script })],
  ["an old Node", () => old()],
] as const)("on %s", ([, options]) => {
  test("the program runs with its words, and its exit status is the launcher's", async () => {
    expect(await crosspoint(["--version"], options())).toMatchObject({
      status: 0,
      stdout: `${packageJson.version}\n`,
      stderr: "",
    });
    const wrong = await crosspoint(["route", "add", "a b"], options());
    expect(wrong).toMatchObject({ status: 2, stdout: "" });
    const gone = await crosspoint(["route", "list"], { ...options(), rpc: "127.0.0.1:1" });
    expect(gone.status).toBe(69);
  });

  test("standard input is the program's", async () => {
    const node = await startRpcNode();
    const stdin = "routes: [{ domain: a.example.com, service: web }]";
    const run = await crosspoint(["apply", "-f", "-"], {
      ...options(),
      rpc: node.server.address,
      stdin,
    });
    expect(run).toMatchObject({
      status: 0,
      stdout: "+ route a-example-com  a.example.com -> web\n",
    });
  });

  test.for(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "%s reaches the program, and the launcher ends as it did",
    async (signal) => {
      const node = await startRpcNode();
      await node.client.call("putService", { service: { name: "web" } });
      const running = start(["watch"], { ...options(), rpc: node.server.address });
      await running.printed(/service web/);
      running.kill(signal);
      expect(await running.ended).toMatchObject({ signal });
    },
  );
});

test("without the runtime's package the launcher says what is missing: 78", async () => {
  const elsewhere = `const { Module } = { Module: require("node:module") };
    const resolve = Module._resolveFilename;
    Module._resolveFilename = (name, ...rest) => {
      if (/^node(-bin)?-/.test(name)) throw new Error("not found");
      return resolve(name, ...rest);
    };`;
  const run = await crosspoint(["--version"], old(elsewhere));
  expect(run).toMatchObject({ status: 78, stdout: "" });
  expect(run.stderr).toMatch(
    /^crosspoint: needs Node\.js 24\.15 or newer; .*node-\w+-\w+ is not installed: run `npm install`/,
  );
});

test("the launcher's floor is package.json's", async () => {
  expect(packageJson.engines.node).toBe(">=24.15");
});
