// Goal: a route with options says the same when it is added, listed, shown, exported and applied again; and what only
// a node knows is wrong comes back in its words.
// Method: a real node; every option at once.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startRpcNode } from "../support/rpc-node.ts";
import { dispatched } from "./program.ts";

const sorry = join(mkdtempSync(join(tmpdir(), "crosspoint-options-")), "sorry.html");
writeFileSync(sorry, "<p>sorry</p>");

/** Each line is typed as it stands. */
const adds: readonly (readonly [words: readonly string[], said: string])[] = [
  [
    [
      "shop.example.com/cart",
      "--split",
      "cart=90",
      "--split",
      "cart-next=10",
      "--sticky",
      "--name",
      "canary",
      "--method",
      "GET,HEAD",
      "--header",
      "x-a=1",
      "--header",
      "!x-b",
      "--query",
      "v=2*",
    ],
    "canary  shop.example.com/cart [GET|HEAD header x-a=1 header !x-b query v=2*] -> cart 90, cart-next 10  sticky",
  ],
  [
    [
      "shop.example.com/api",
      "api",
      "--name",
      "full",
      "--exact",
      "--rewrite",
      "/v2",
      "--rewrite-host",
      "api.internal",
      "--mirror",
      "api-next=5",
      "--allow",
      "192.0.2.0/24",
      "--allow",
      "2001:db8::/32",
      "--deny",
      "192.0.2.7",
      "--rate",
      "1000/m",
      "--rate-burst",
      "50",
      "--rate-by",
      "client",
      "--page",
      `503=${sorry}`,
      "--label",
      "team=shop",
    ],
    "full  shop.example.com=/api -> api  rewrite mirror access rateLimit pages  team=shop",
  ],
  [
    [
      "old.example.com",
      "old",
      "--name",
      "moved",
      "--redirect",
      "https://shop.example.com/*",
      "--redirect-status",
      "308",
    ],
    "moved  old.example.com -> redirect 308 to https://shop.example.com/*, else old",
  ],
  [
    [
      "shop.example.com/closed",
      "--name",
      "closed",
      "--answer",
      `503=${sorry}`,
      "--answer-header",
      "Retry-After: 60",
    ],
    "closed  shop.example.com/closed -> answer 503",
  ],
  [
    [
      "www.example.com",
      "www",
      "--name",
      "patient",
      "--tries",
      "5",
      "--per-try-timeout",
      "500ms",
      "--retry-on",
      "connect,timeout",
      "--retry-on",
      "status",
      "--retry-status",
      "503,502",
      "--retry-budget",
      "10",
      "--hedge-after",
      "100ms",
      "--request-timeout",
      "2s",
    ],
    "patient  www.example.com -> www  retry timeout",
  ],
  [
    ["tcp:5432", "--name", "db", "--split", "db=1", "--allow", "10.0.0.0/8", "--rate", "10/s"],
    "db  tcp:5432 -> db 1  access rateLimit",
  ],
];

async function nodeWithAll() {
  const node = await startRpcNode();
  const env = { CROSSPOINT_RPC: node.server.address };
  const said: string[] = [];
  for (const [words] of adds) {
    const run = await dispatched(["route", "add", ...words], env);
    expect(run).toMatchObject({ status: 0, stderr: "" });
    said.push(run.stdout);
  }
  return { node, env, said };
}

describe("a table with every option", () => {
  test("is told when it is added, and in the list", async () => {
    const { env, said } = await nodeWithAll();
    expect(said).toEqual(adds.map(([, text], i) => `${text}  (revision ${i + 1})\n`));
    const list = await dispatched(["route", "list"], env);
    const cells = list.stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.split(/ {2,}/));
    expect(cells).toEqual([
      ["NAME", "MATCH", "TARGET", "OPTIONS", "LABELS"],
      [
        "canary",
        "shop.example.com/cart [GET|HEAD header x-a=1 header !x-b query v=2*]",
        "cart 90, cart-next 10",
        "sticky",
        "-",
      ],
      ["closed", "shop.example.com/closed", "answer 503", "-", "-"],
      ["db", "tcp:5432", "db 1", "access rateLimit", "-"],
      [
        "full",
        "shop.example.com=/api",
        "api",
        "rewrite mirror access rateLimit pages",
        "team=shop",
      ],
      [
        "moved",
        "old.example.com",
        "redirect 308 to https://shop.example.com/*, else old",
        "-",
        "-",
      ],
      ["patient", "www.example.com", "www", "retry timeout", "-"],
    ]);
  });

  test("is shown in words", async () => {
    const { env } = await nodeWithAll();
    const shown = async (name: string): Promise<Record<string, string>> => {
      const { stdout } = await dispatched(["route", "get", name], env);
      const rows = stdout
        .trimEnd()
        .split("\n")
        .map((line) => /^(\S+) +(.*)$/.exec(line)!);
      return Object.fromEntries(rows.map(([, field, value]) => [field, value]));
    };
    expect(await shown("full")).toMatchObject({
      rewrite: "path /v2, host api.internal",
      mirror: "5 % of the requests to api-next",
      access: "not 192.0.2.7; only 192.0.2.0/24, 2001:db8::/32",
      rateLimit: "1000 in 60s, 50 at once, each client by itself",
      pages: "503 (text/html, 12 characters)",
    });
    expect(await shown("patient")).toMatchObject({
      retry:
        "5 tries, each 0.5s, on connect timeout status 502 503, budget 10 %, hedged after 0.1s",
      timeout: "2s",
    });
    expect(await shown("canary")).toMatchObject({ split: "cart 90, cart-next 10", sticky: "yes" });
    expect(await shown("moved")).toMatchObject({
      service: "old",
      redirect: "308 to https://shop.example.com/*",
    });
    expect(await shown("closed")).toMatchObject({
      service: "-",
      answer: "503 (text/html, 12 characters), Retry-After: 60",
    });
    expect(await shown("db")).toMatchObject({
      access: "only 10.0.0.0/8",
      rateLimit: "10 in 1s, 10 at once, all clients together",
    });
  });

  test.for([[[]], [["--json"]]])(
    "exported %j is what apply takes, on a node that has it and on one that has not",
    async ([flags]) => {
      const { node, env } = await nodeWithAll();
      const exported = (await dispatched(["export", ...flags!], env)).stdout;
      const file = join(mkdtempSync(join(tmpdir(), "crosspoint-options-")), "routes");
      writeFileSync(file, exported);
      const here = await dispatched(["apply", "-f", file], env);
      expect(here).toEqual({
        status: 0,
        stdout: "",
        stderr: "0 changed, 6 as they were; revision 6\n",
      });
      const other = await startRpcNode();
      const there = { CROSSPOINT_RPC: other.server.address };
      expect((await dispatched(["apply", "-f", file], there)).stderr).toBe(
        "6 changed, 0 as they were; revision 1\n",
      );
      const again = (await dispatched(["export", ...flags!], there)).stdout;
      expect(again.replace("revision 1", "revision 6")).toBe(exported);
      const set = ({ routes }: Awaited<ReturnType<typeof node.client.call<"listRoutes">>>) =>
        routes.map((route) => ({
          ...route,
          revision: 0n,
          createTime: undefined,
          updateTime: undefined,
        }));
      expect(set(await other.client.call("listRoutes"))).toEqual(
        set(await node.client.call("listRoutes")),
      );
    },
  );

  test("is compared in words, also where the words are the same", async () => {
    const { env } = await nodeWithAll();
    const exported = (await dispatched(["export"], env)).stdout;
    const changes: readonly (readonly [from: string, to: string, line: string])[] = [
      [
        "weight: 90",
        "weight: 70",
        "~ route canary  split: cart 90, cart-next 10 -> cart 70, cart-next 10\n",
      ],
      [
        "status: 308",
        "status: 301",
        "~ route moved  redirect: 308 to https://shop.example.com/* -> 301 to https://shop.example.com/*\n",
      ],
      [
        "percent: 5",
        "percent: 6",
        "~ route full  mirror: 5 % of the requests to api-next -> 6 % of the requests to api-next\n",
      ],
      [
        "burst: 50",
        "burst: 60",
        "~ route full  rateLimit: 1000 in 60s, 50 at once, each client by itself -> 1000 in 60s, 60 at once, each client by itself\n",
      ],
      [
        'Retry-After: "60"',
        'Retry-After: "90"',
        "~ route closed  answer: 503 (text/html, 12 characters), Retry-After: 60 -> 503 (text/html, 12 characters), Retry-After: 90\n",
      ],
      [
        "pathPrefix: /v2",
        "pathPrefix: /v3",
        "~ route full  rewrite: path /v2, host api.internal -> path /v3, host api.internal\n",
      ],
      [
        "- 192.0.2.7",
        "- 192.0.2.8",
        "~ route full  access: not 192.0.2.7; only 192.0.2.0/24, 2001:db8::/32 -> not 192.0.2.8; only 192.0.2.0/24, 2001:db8::/32\n",
      ],
    ];
    for (const [from, to, line] of changes) {
      expect(exported).toContain(from);
      const file = join(mkdtempSync(join(tmpdir(), "crosspoint-options-")), "routes.yaml");
      writeFileSync(file, exported.replace(from, to));
      expect((await dispatched(["apply", "-f", file, "--dry-run"], env)).stdout).toBe(line);
    }
    const file = join(mkdtempSync(join(tmpdir(), "crosspoint-options-")), "routes.yaml");
    writeFileSync(file, exported.replaceAll("<p>sorry</p>", "<p>later</p>"));
    expect((await dispatched(["apply", "-f", file, "--dry-run"], env)).stdout).toBe(
      "~ route closed  answer: 503 (text/html, 12 characters), Retry-After: 60 -> another\n" +
        "~ route full  pages: 503 (text/html, 12 characters) -> another\n",
    );
  });
});

test.for([
  [
    ["a.example.com", "web", "--split", "b=1"],
    "route.split: stands in place of service: name one of them",
  ],
  [
    ["a.example.com", "web", "--answer", "503"],
    "route.answer: stands in place of service, split and redirect",
  ],
  [
    ["a.example.com", "web", "--retry-on", "timeout"],
    "route.retry.on: ON_TIMEOUT needs a per_try_timeout",
  ],
  [["tcp:5432", "web", "--request-timeout", "5s"], "route.timeout: is for HTTP routes"],
  [["a.example.com", "web", "--method", "get"], "methods have a case: GET is meant, not get"],
  [["a.example.com", "--redirect", "ftp://b.example.com"], '"ftp" is neither http nor https'],
  [["a.example.com", "web", "--allow", "10.0.0.0/33"], "route.access.allow[0]"],
  [["a.example.com", "web", "--rate", "10/1ms"], "1 ms is not within 1 s to 1 h"],
  [["tcp:5432", "web", "--rewrite", "/"], "is for HTTP routes; a TCP route has bytes only"],
  [["a.example.com", "web", "--rewrite", "x"], "route.rewrite.path_prefix"],
] as const)("the node judges %j", async ([words, message]) => {
  const node = await startRpcNode();
  const run = await dispatched(["route", "add", ...words], { CROSSPOINT_RPC: node.server.address });
  expect(run).toMatchObject({ status: 2, stdout: "" });
  expect(run.stderr).toContain(message);
});

describe("--replace", () => {
  test("puts a route in the place of the one with its match, or its name; without it that is refused", async () => {
    const node = await startRpcNode();
    const env = { CROSSPOINT_RPC: node.server.address };
    const add = (...words: readonly string[]) => dispatched(["route", "add", ...words], env);
    await add("a.example.com", "web", "--name", "a", "--sticky");
    const refused = await add("a.example.com", "--split", "web=90", "--split", "next=10");
    expect(refused).toMatchObject({ status: 4, stdout: "" });
    expect(refused.stderr).toContain("change it with `crosspoint route add --replace`");
    const split = ["--split", "web=50", "--split", "next=50", "--replace"];
    expect(await add("a.example.com", ...split)).toEqual({
      status: 0,
      stdout: "a  a.example.com -> next 50, web 50  (revision 2)\n",
      stderr: "",
    });
    const renamed = await add("b.example.com", "web", "--name", "a", "--replace");
    expect(renamed.stdout).toBe("a  b.example.com -> web  (revision 3)\n");
    const created = await add("c.example.com", "web", "--replace", "--json");
    expect(JSON.parse(created.stdout)).toMatchObject({
      revision: "4",
      results: [{ action: "ACTION_CREATE", after: { name: "c-example-com" } }],
    });
    expect(node.view.table.routeCount).toBe(2);
  });

  test("what is wrong is named as without it", async () => {
    const node = await startRpcNode();
    const words = ["route", "add", "a..example.com", "w b", "--answer", "199"];
    const env = { CROSSPOINT_RPC: node.server.address };
    const added = await dispatched(words, env);
    expect(added.stderr).toContain("route.http.domain");
    expect(await dispatched([...words, "--replace"], env)).toEqual(added);
  });

  test("says who lags, as any change", async () => {
    const node = await startRpcNode();
    node.serving.serve(0);
    const words = ["a.example.com", "web", "--replace", "--timeout", "400ms"];
    const run = await dispatched(["route", "add", ...words], {
      CROSSPOINT_RPC: node.server.address,
    });
    expect(run.status).toBe(75);
    expect(run.stderr).toContain("not yet served by node node-1");
  });
});
