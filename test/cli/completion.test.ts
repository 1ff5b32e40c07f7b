// Goal: a shell learns commands, flags and live names; a node that is away costs half a second at most.

import { execFile } from "node:child_process";
import { mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { startRpcNode } from "../support/rpc-node.ts";
import { crosspoint, repository } from "./program.ts";

async function offered(words: readonly string[], rpc = "127.0.0.1:1"): Promise<string[]> {
  const run = await crosspoint(["complete", "--", ...words], { rpc });
  expect(run).toMatchObject({ status: 0, stderr: "" });
  return run.stdout
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith(":"))
    .map((line) => line.split("\t")[0] ?? "");
}

test.for([
  [["ro"], ["route"]],
  [
    ["route", ""],
    ["add", "list", "get", "remove"],
  ],
  [
    ["serve", "--tcp-"],
    ["--tcp-address", "--tcp-ports"],
  ],
  [
    ["serve", "--log-format", ""],
    ["json", "text"],
  ],
  [
    ["service", "put", "--policy", "r"],
    ["random", "round-robin", "ring-hash"],
  ],
  [["no"], ["node"]],
  [
    ["store", ""],
    ["status", "accept"],
  ],
  [["store", "accept", "--dr"], ["--dry-run"]],
  [["route", "list", "--re"], ["--rejected"]],
  [
    ["serve", "--etcd-c"],
    ["--etcd-ca", "--etcd-cert"],
  ],
  [["serve", "--etcd-ca", "src/cli/comp"], ["src/cli/completion.ts"]],
  [
    ["completion", ""],
    ["bash", "zsh", "fish"],
  ],
  [["route", "add", "--js"], ["--json"]],
  [
    ["route", "add", "--re"],
    [
      "--redirect",
      "--redirect-status",
      "--rewrite",
      "--rewrite-host",
      "--retry-on",
      "--retry-status",
      "--retry-budget",
      "--request-timeout",
      "--replace",
    ],
  ],
  [
    ["route", "add", "a.example.com", "web", "--rate-by", ""],
    ["all", "client"],
  ],
  [["explain", "--fr"], ["--from"]],
  [["apply", "-f", "src/cli/comp"], ["src/cli/completion.ts"]],
] as const)("%j is completed from the table", async ([words, expected]) => {
  expect(await offered(words)).toEqual(expected);
});

test("names of routes and services come from the node", async () => {
  const node = await startRpcNode();
  const rpc = node.server.address;
  await crosspoint(["route", "add", "app.example.com", "web"], { rpc });
  await crosspoint(["route", "add", "b.example.com", "shop"], { rpc });
  expect(await offered(["route", "get", ""], rpc)).toEqual(["app-example-com", "b-example-com"]);
  expect(await offered(["route", "get", "--rpc", rpc, "b"])).toEqual(["b-example-com"]);
  expect(await offered(["service", "put", ""], rpc)).toEqual(["shop", "web"]);
  expect(await offered(["route", "add", "c.example.com", "w"], rpc)).toEqual(["web"]);
  for (const flag of ["--split", "--mirror"]) {
    expect(await offered(["route", "add", "c.example.com", flag, "s"], rpc)).toEqual(["shop"]);
  }
});

test("a node that is away completes nothing, and is not complained about", async () => {
  expect(await offered(["route", "get", ""])).toEqual([]);
  expect(await offered(["route", "get", ""], "nonsense")).toEqual([]);
});

test.for(["bash", "zsh", "fish"])(
  "completion %s prints a script that asks the program",
  async (shell) => {
    const run = await crosspoint(["completion", shell]);
    expect(run).toMatchObject({ status: 0, stderr: "" });
    expect(run.stdout).toContain("crosspoint complete --");
  },
);

test("bash itself completes with the script", async () => {
  const folder = mkdtempSync(join(tmpdir(), "crosspoint-completion-"));
  symlinkSync(join(repository, "src/cli/launcher.cjs"), join(folder, "crosspoint"));
  const script = join(folder, "script");
  writeFileSync(script, (await crosspoint(["completion", "bash"])).stdout);
  const ask = `source ${script}
    COMP_WORDS=(crosspoint backend re); COMP_CWORD=2; COMP_LINE="crosspoint backend re"; COMP_POINT=\${#COMP_LINE}
    $(complete -p crosspoint | sed -E 's/.*-F ([^ ]+).*/\\1/')
    echo "\${COMPREPLY[@]}"`;
  const { stdout } = await promisify(execFile)("bash", ["-c", ask], {
    env: { ...process.env, PATH: `${folder}:${process.env["PATH"]}` },
  });
  expect(stdout.trim()).toBe("remove");
});
