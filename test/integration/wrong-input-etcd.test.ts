// Goal: an etcd that is named wrongly is told before anything is bound or made, by the name of where it was
// written, with status 2 and without the password.
// Method: as wrong-input.test.ts; every node is a child process, because only a process has an environment, an
// exit status and a standard error.

import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../store/temporary-directory.ts";
import { anywhere, Launched } from "../support/launched.ts";

const elsewhere = anywhere.filter((flag) => !flag.startsWith("--store="));

interface Case {
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly file?: string;
  readonly told: RegExp;
}

test.for<readonly [string, Case]>([
  [
    "an endpoint without a scheme",
    {
      flags: ["--store=etcd:10.0.0.5:2379"],
      told: /^crosspoint: --store: "etcd:10\.0\.0\.5:2379": it does not begin with http/,
    },
  ],
  [
    "a port that is none, behind a password",
    {
      flags: ["--store=etcd:http://ada:hunter2@10.0.0.5:port"],
      told: /^crosspoint: --store: "etcd:http:\/\/\*\*\*@10\.0\.0\.5:port": .* is not HOST:PORT.*; write etcd:/,
    },
  ],
  [
    "the same in a variable",
    {
      env: { CROSSPOINT_STORE: "etcd:http://ada:hunter2@h1,https://h2" },
      told: /^crosspoint: CROSSPOINT_STORE: .*its endpoints are not all http:\/\/ or all https/,
    },
  ],
  [
    "the same in a file",
    {
      file: "workers: 2\nstore: etcd:http://ada:hunter2@h1//x\n",
      told: /^crosspoint: \S+node\.yaml:2: store: .*the prefix, a part, is not printable ASCII/,
    },
  ],
  [
    "a source of backends of an unknown kind",
    {
      flags: ["--store=memory:", "--discover=consul:http://h1"],
      told: /^crosspoint: --discover: "consul:http:\/\/h1" is not etcd:http.* or discoverd:http/,
    },
  ],
  [
    "a user without an etcd",
    {
      flags: ["--store=memory:"],
      env: { CROSSPOINT_ETCD_USER: "ada", CROSSPOINT_ETCD_PASSWORD_FILE: "hunter2" },
      told: /^crosspoint: CROSSPOINT_ETCD_USER: is for an etcd, and none is named/,
    },
  ],
  [
    "a certificate for an etcd without TLS",
    {
      flags: ["--store=etcd:http://h1", "--etcd-ca=/ca.pem"],
      told: /^crosspoint: --etcd-ca: is for https:\/\/, and http:\/\/h1:2379 is not/,
    },
  ],
  [
    "a certificate without its key",
    {
      flags: ["--store=etcd:https://h1", "--etcd-cert=/cert.pem"],
      told: /^crosspoint: --etcd-cert: needs --etcd-key as well/,
    },
  ],
  [
    "a store to be accepted that cannot lose its past",
    {
      flags: ["--store=memory:", "--accept-store"],
      told: /^crosspoint: --accept-store: is for --store etcd:http/,
    },
  ],
])("%s: exit 2, one line, nothing made", async ([, { flags = [], env = {}, file, told }]) => {
  const directory = temporaryDirectory();
  const state = join(directory, "state");
  const config = join(directory, "node.yaml");
  if (file !== undefined) writeFileSync(config, file);
  const node = new Launched(
    [
      ...elsewhere,
      `--state=${state}`,
      ...flags,
      ...(file === undefined ? [] : [`--config=${config}`]),
    ],
    { env: { PATH: process.env["PATH"], ...env } },
  );
  expect(await node.end()).toBe(2);
  expect(node.out).toBe("");
  expect(node.err).toMatch(told);
  expect(node.err.trimEnd().split("\n")).toHaveLength(1);
  expect(node.err).not.toContain("hunter2");
  expect(existsSync(state)).toBe(false);
});
