// Goal: whatever is wrong with a node's files, its settings or its machine, the error names it and says what
// to do, and nothing that was acknowledged is lost.
// Method: as wrong-input.test.ts, which has the calls and the ports; every node is a child process.

import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, onTestFinished, test } from "vitest";
import { temporaryDirectory } from "../store/temporary-directory.ts";
import { anywhere, Launched } from "../support/launched.ts";
import { Client, failureOf } from "../support/rpc-node.ts";
import { answerOf, httpMatch } from "../support/whole-node.ts";

const isRoot = process.getuid?.() === 0;
/** What gives us a namespace of our own; in a container without that right, nothing does. */
const unshare = isRoot ? ["unshare"] : ["unshare", "--map-root-user"];
const hasNamespaces =
  spawnSync(unshare[0]!, [...unshare.slice(1), "--mount", "--net", "true"]).status === 0;

describe("a store that cannot be used", () => {
  const startOn = (path: string, directory: string, within: readonly string[] = []): Launched =>
    new Launched([...anywhere, `--store=sqlite:${path}`, `--state=${directory}`], { within });

  /** A good store with one route. */
  async function stored(directory: string): Promise<string> {
    const path = join(directory, "r.db");
    const node = startOn(path, directory);
    const client = new Client((await node.ready()).rpc);
    await client.call("addRoute", { route: { match: httpMatch("a.test"), service: "web" } });
    client.close();
    expect(await node.stop()).toBe(0);
    return path;
  }

  test.for<[string, (path: string, directory: string) => void, RegExp]>([
    ["a directory", (path) => mkdirSync(path), /r\.db: is a directory: name a file/],
    [
      "no database",
      (path) => writeFileSync(path, "not a database, but long".repeat(99)),
      /r\.db: .*damaged/,
    ],
    [
      "of another program",
      (path) => {
        const db = new DatabaseSync(path);
        db.exec("CREATE TABLE t (x)");
        db.close();
      },
      /r\.db: is an SQLite file of another program/,
    ],
    ["in no directory", (_path, directory) => writeFileSync(join(directory, "sub"), ""), /./],
  ])("%s: exit 1, one line, the file untouched", async ([what, make, message]) => {
    const directory = temporaryDirectory();
    const path = join(directory, what === "in no directory" ? "sub/r.db" : "r.db");
    make(path, directory);
    const before =
      what.startsWith("a dir") || what.startsWith("in no") ? "" : String(readFileSync(path));
    const node = startOn(path, directory);
    expect(await node.end()).toBe(1);
    expect(node.log).toHaveLength(1);
    expect(node.log[0]?.["error"]).toMatch(message);
    expect(node.log[0]?.["error"]).toContain(path);
    if (before !== "") expect(String(readFileSync(path))).toBe(before);
  });

  test("a newer schema is left as it is; the newer build's table is still there", async () => {
    const directory = temporaryDirectory();
    const path = await stored(directory);
    const setVersion = (change: number): void => {
      const db = new DatabaseSync(path);
      const version = Number(db.prepare("PRAGMA user_version").get()?.["user_version"]);
      db.exec(`PRAGMA user_version = ${version + change}`);
      db.close();
    };
    setVersion(1);
    const node = startOn(path, directory);
    expect(await node.end()).toBe(1);
    expect(node.log[0]?.["error"]).toMatch(/schema version \d+, and this build knows up to \d+/);
    setVersion(-1);
    expect((await startOn(path, directory).ready()).line).toContain("revision=1");
  });

  test("a second node on the same file: it is refused, the first does not notice", async () => {
    const directory = temporaryDirectory();
    const path = await stored(directory);
    const first = startOn(path, directory);
    const { rpc } = await first.ready();
    const second = startOn(path, directory);
    expect(await second.end()).toBe(1);
    expect(second.log[0]?.["error"]).toContain("another process has it open: one node per file");
    const client = new Client(rpc);
    onTestFinished(() => client.close());
    await client.call("addRoute", { route: { match: httpMatch("b.test"), service: "web" } });
    expect((await client.call("listRoutes")).routes).toHaveLength(2);
  });

  test("a directory where this user may not write", async () => {
    const directory = temporaryDirectory();
    const sealed = join(directory, "sealed");
    mkdirSync(sealed);
    chmodSync(sealed, 0o500);
    // Root may write anywhere, unless it gives that up.
    const within = isRoot
      ? ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
      : [];
    if (isRoot) execFileSync("chown", ["65534", sealed]);
    const node = startOn(join(sealed, "r.db"), sealed, within);
    expect(await node.end()).toBe(1);
    expect(node.log[0]?.["error"]).toMatch(/sealed\/r\.db: .*permission/i);
  });

  test("a full disk: the write is refused by name, and everything before it serves and stays", async () => {
    const mount = temporaryDirectory();
    const { within, code, says } = onSmallDisk(mount);
    const node = startOn(join(mount, "r.db"), mount, within);
    const { rpc, httpPort, adminPort } = await node.ready();
    const client = new Client(rpc);
    onTestFinished(() => client.close());
    const label = "x".repeat(250);
    const labels = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`k${i}`, label]));
    // Until one is refused; this many do not fit by far.
    let acknowledged = 0;
    const fill = async (): Promise<never> => {
      for (; acknowledged < 500; acknowledged++) {
        const route = { match: httpMatch(`h${acknowledged}.test`), service: "web", labels };
        await client.call("addRoute", { route });
      }
      throw new Error("the disk was never full");
    };
    const failure = await failureOf(fill());
    expect(failure.code).toBe(code);
    expect(failure.message).toMatch(says);
    expect(acknowledged).toBeGreaterThan(5);
    const { routes } = await client.call("listRoutes", { pageSize: 1000 });
    expect(routes).toHaveLength(acknowledged);
    expect((await answerOf(httpPort, "/", { Host: `h${acknowledged - 1}.test` })).status).toBe(503);
    expect((await answerOf(httpPort, "/", { Host: `h${acknowledged}.test` })).status).toBe(404);
    expect((await answerOf(adminPort, "/readyz", {})).status).toBe(200);
    expect(await node.stop()).toBe(0);
  });
});

/**
 * A file system of 600 KiB at `directory`; where nobody may mount one, a limit on the size of files, which
 * SQLite takes for a broken disk.
 */
function onSmallDisk(directory: string): { within: string[]; code: string; says: RegExp } {
  if (hasNamespaces) {
    const script = `mount -t tmpfs -o size=600k none "${directory}" && exec "$0" "$@"`;
    const says = /r\.db: the disk is full .* free some space, then retry/;
    return {
      within: [...unshare, "--mount", "sh", "-c", script],
      code: "RESOURCE_EXHAUSTED",
      says,
    };
  }
  const script = `trap "" XFSZ; ulimit -f 1200; exec "$0" "$@"`;
  const says = /r\.db: input or output failed .*check the disk/;
  return { within: ["sh", "-c", script], code: "UNAVAILABLE", says };
}

describe("settings that are wrong", () => {
  test.for([
    [
      "an unknown key",
      "wrokers: 2\n",
      /node\.yaml:1: "wrokers" is not a setting; did you mean "workers"\?/,
    ],
    [
      "a wrong value",
      "http: 127.0.0.1:0\ntcp-ports: 9-1\n",
      /node\.yaml:2: tcp-ports: "9-1" is not a range/,
    ],
    ["no YAML", "a: [", /node\.yaml:\d+: /],
  ] as const)(
    "%s in a file: exit 2, the line is named, nothing is opened",
    async ([, text, message]) => {
      const directory = temporaryDirectory();
      const file = join(directory, "node.yaml");
      writeFileSync(file, text);
      const node = new Launched([`--config=${file}`, `--state=${directory}/state`]);
      expect(await node.end()).toBe(2);
      expect(node.err).toMatch(message);
      expect(execFileSync("ls", [directory]).toString()).toBe("node.yaml\n");
    },
  );

  test("an unknown flag: exit 2", async () => {
    const node = new Launched(["--wrokers=2"]);
    expect(await node.end()).toBe(2);
    expect(node.err).toContain("--wrokers");
  });
});

describe.skipIf(!hasNamespaces)("a machine whose IPv6 is switched off", () => {
  test("starts on the default addresses and serves IPv4", async () => {
    const script = `ip link set lo up && echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 && exec "$0" "$@"`;
    const node = new Launched(
      ["--store=memory:", "--workers=1", "--rpc=127.0.0.1:0", "--admin=127.0.0.1:0"],
      { within: [...unshare, "--net", "sh", "-c", script] },
    );
    const { http } = await node.ready();
    expect(http[0]).toBe("0.0.0.0:8080");
    // Where the kernel was built or booted without it, [::] cannot even be bound: one line says so.
    expect(node.log.length).toBeLessThanOrEqual(1);
    // Asked from inside its network.
    const inside = ["--target", String(node.child.pid), "--net", ...(isRoot ? [] : ["--user"])];
    const curl = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:8080/"];
    const answered = spawnSync("nsenter", [...inside, ...curl], { encoding: "utf8" });
    expect(answered).toMatchObject({ stdout: "404", stderr: "" });
    expect(await node.stop()).toBe(0);
  });
});
