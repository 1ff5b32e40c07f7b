// Goal: the commands for a cluster show what a node answers about nodes, its store and what is set aside, and
// their exit statuses say what a script needs.

import { describe, expect, test } from "vitest";
import {
  Node_State as NodeState,
  Store_State as StoreState,
} from "../../src/gen/crosspoint/v1/router.ts";
import { RouterError } from "../../src/model/errors.ts";
import { type Answers, startAnsweringNode } from "./answering-node.ts";
import { crosspoint, dispatched } from "./program.ts";

const startTime = new Date("2026-11-21T08:00:00.123Z");

/** Runs `words` against a node that answers so. */
async function asked(words: readonly string[], answers: Answers) {
  const node = await startAnsweringNode(answers);
  const run = await dispatched(words, { CROSSPOINT_RPC: node.rpc });
  return { ...run, asked: node.asked };
}

describe("node list", () => {
  const nodes = [
    {
      name: "edge-1",
      state: NodeState.SERVING,
      servedRevision: 17n,
      workers: 2,
      io: "net",
      startTime,
      rpcAddress: "127.0.0.1:7070",
      self: true,
    },
    {
      name: "edge-2",
      state: NodeState.SILENT,
      servedRevision: 15n,
      revisionLag: 2n,
      lagReason: "worker 1 has not\nacknowledged revision 17",
      workers: 8,
      io: "net",
      startTime,
      rpcAddress: "10.0.0.2:7070",
    },
    { name: "edge-3", state: NodeState.STARTING, revisionLag: 17n },
    { name: "edge-4", state: 9 },
  ];
  const answers: Answers = { listNodes: () => ({ nodes, revision: 17n }) };

  test("prints a row for each, with a star at the one that was asked, and why one lags", async () => {
    const run = await asked(["node", "list"], answers);
    expect(run).toMatchObject({ status: 0, stderr: "" });
    expect(run.stdout.split("\n")).toEqual([
      "NAME     STATE     REVISION  LAG  WORKERS  IO   SINCE                 ADDRESS         WHY",
      "edge-1*  serving   17        0    2        net  2026-11-21T08:00:00Z  127.0.0.1:7070  -",
      String.raw`edge-2   silent    15        2    8        net  2026-11-21T08:00:00Z  10.0.0.2:7070   worker 1 has not\x0aacknowledged revision 17`,
      "edge-3   starting  0         17   0        -    -                     -               -",
      "edge-4   9         0         0    0        -    -                     -               -",
      "",
    ]);
  });

  test("answers proto3 JSON to --json", async () => {
    const run = await asked(["node", "list", "--json"], answers);
    expect(JSON.parse(run.stdout)).toMatchObject({
      nodes: [
        {
          name: "edge-1",
          state: "STATE_SERVING",
          servedRevision: "17",
          self: true,
          httpAddresses: [],
        },
        { name: "edge-2", state: "STATE_SILENT", revisionLag: "2" },
        { name: "edge-3" },
        { name: "edge-4" },
      ],
      revision: "17",
    });
  });
});

describe("store status", () => {
  const name = "etcd:http://10.0.0.5:2379/crosspoint";

  test("of a store that is followed is short, and 0", async () => {
    const store = { name, state: StoreState.CURRENT, revision: 17n };
    const run = await asked(["store", "status"], { getStore: () => ({ store }) });
    expect(run).toMatchObject({ status: 0, stderr: "" });
    expect(run.stdout).toBe(
      `FIELD     VALUE\nname      ${name}\nstate     current\nrevision  17\n`,
    );
  });

  test("of one that is not believed says why, since when and what accepting would do, and is 1", async () => {
    const store = {
      name,
      state: StoreState.HELD,
      revision: 17n,
      detail: "it is empty; crosspoint store accept takes it",
      since: startTime,
      removed: 3,
      changed: 2,
      added: 1,
    };
    const run = await asked(["store", "status"], { getStore: () => ({ store }) });
    expect(run).toMatchObject({ status: 1, stderr: "" });
    expect(run.stdout.split("\n").slice(2, -1)).toEqual([
      "state         held",
      "revision      17",
      "since         2026-11-21T08:00:00Z",
      "detail        it is empty; crosspoint store accept takes it",
      "accept would  remove 3, change 2 and add 1 entries",
    ]);
    const json = await asked(["store", "status", "--json"], { getStore: () => ({ store }) });
    expect(json.status).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({
      store: { state: "STATE_HELD", removed: 3, since: "2026-11-21T08:00:00.123Z" },
    });
  });

  test.for([
    [StoreState.AWAY, [], "state     away"],
    [StoreState.STALE, [], "state     stale"],
    [StoreState.UNSPECIFIED, [], "state     unknown"],
    [
      StoreState.CURRENT,
      ["etcd:http://d/services/: is away"],
      "discovery  etcd:http://d/services/: is away",
    ],
  ] as const)("state %i with troubles %j is 1", async ([state, discoveryTroubles, line]) => {
    const store = { name, state, discoveryTroubles: [...discoveryTroubles] };
    const run = await asked(["store", "status"], { getStore: () => ({ store }) });
    expect(run).toMatchObject({ status: 1, stderr: "" });
    expect(run.stdout.split("\n")).toContain(line);
  });
});

describe("store accept", () => {
  const store = { name: "etcd:http://h:2379/crosspoint", state: StoreState.CURRENT, revision: 9n };
  const answers: Answers = { acceptStore: () => ({ store, removed: 3, changed: 2, added: 1 }) };

  test("takes it, and says what went, changed and came", async () => {
    const run = await asked(["store", "accept"], answers);
    expect(run).toEqual({
      status: 0,
      stdout:
        "accepted etcd:http://h:2379/crosspoint: removed 3, changed 2 and added 1 entries  (revision 9)\n",
      stderr: "",
      asked: [["acceptStore", { validateOnly: false }]],
    });
  });

  test("with --dry-run only asks what would", async () => {
    const run = await asked(["store", "accept", "--dry-run"], answers);
    expect(run).toEqual({
      status: 0,
      stdout:
        "would remove 3, change 2 and add 1 entries: what etcd:http://h:2379/crosspoint holds would be served\n",
      stderr: "",
      asked: [["acceptStore", { validateOnly: true }]],
    });
    const json = await asked(["store", "accept", "--dry-run", "--json"], answers);
    expect(JSON.parse(json.stdout)).toMatchObject({ removed: 3, changed: 2, added: 1 });
  });

  test("names the discovery sources that are in trouble beside it", async () => {
    const troubled = { ...store, discoveryTroubles: ["etcd:http://d/services/: nothing is there"] };
    const run = await asked(["store", "accept", "--dry-run"], {
      acceptStore: () => ({ store: troubled }),
    });
    expect(run.stdout).toMatch(/^would remove 0, change 0 and add 0 entries: /);
    expect(run.stderr).toBe("discovery: etcd:http://d/services/: nothing is there\n");
  });

  test("when nothing is held is 1, with the node's reason", async () => {
    const run = await asked(["store", "accept"], {
      acceptStore: () => {
        throw new RouterError("failed-precondition", "nothing is held: the store is current");
      },
    });
    expect(run).toMatchObject({ status: 1, stdout: "" });
    expect(run.stderr).toMatch(/^crosspoint: nothing is held: the store is current\n/);
  });
});

describe("route list --rejected", () => {
  const entry = (i: number) => ({
    key: `/crosspoint/routes/r${i}`,
    reason: `reason ${i}\u001b[2J`,
  });
  const answers: Answers = {
    listRejectedEntries: ({ pageToken }: { pageToken: string }) =>
      pageToken === ""
        ? { entries: [entry(1), entry(2)], nextPageToken: "more" }
        : { entries: [entry(3)] },
  };

  test("prints every page of keys and reasons, without what would move the cursor", async () => {
    const run = await asked(["route", "list", "--rejected"], answers);
    expect(run).toMatchObject({ status: 0, stderr: "" });
    expect(run.stdout.split("\n")).toEqual([
      "KEY                    REASON",
      String.raw`/crosspoint/routes/r1  reason 1\x1b[2J`,
      String.raw`/crosspoint/routes/r2  reason 2\x1b[2J`,
      String.raw`/crosspoint/routes/r3  reason 3\x1b[2J`,
      "",
    ]);
    const json = await asked(["route", "list", "--rejected", "--json"], answers);
    expect((JSON.parse(json.stdout) as { entries: unknown[] }).entries).toHaveLength(3);
  });

  test("is 0 when there are none, and takes no --filter", async () => {
    const none: Answers = { listRejectedEntries: () => ({}) };
    expect(await asked(["route", "list", "--rejected"], none)).toMatchObject({
      status: 0,
      stdout: "KEY  REASON\n",
    });
    const both = await asked(["route", "list", "--rejected", "--filter", "a=b"], none);
    expect(both).toMatchObject({ status: 2, stdout: "", asked: [] });
    expect(both.stderr).toMatch(/^crosspoint: --filter: /);
  });
});

describe("--wait all", () => {
  const lagging = [
    { node: "edge-2", servedRevision: 4n, reason: "worker 1 has not acknowledged revision 5" },
    { node: "edge-3", servedRevision: 0n, reason: "it did not answer in time" },
  ];
  const told = [
    "not yet served by node edge-2, which is at revision 4: worker 1 has not acknowledged revision 5",
    "not yet served by node edge-3, which is at revision 0: it did not answer in time",
    "",
  ];

  test.for<readonly [string, keyof Answers]>([
    ["route add a.example.com web", "addRoute"],
    ["route remove web", "removeRoute"],
    ["service put web", "putService"],
    ["service remove web", "removeService"],
    ["backend add web 10.0.0.7:80", "registerBackend"],
  ])("%s asks for all nodes, names those that lag, and ends with 75", async ([words, method]) => {
    const run = await asked([...words.split(" "), "--wait", "all"], {
      [method]: () => ({ revision: 5n, lagging }),
    });
    expect(run.asked).toMatchObject([[method, { wait: 3 }]]);
    expect(run.status).toBe(75);
    expect(run.stderr.split("\n")).toEqual(told);
    const served = await asked([...words.split(" "), "--wait", "all"], {
      [method]: () => ({ revision: 5n }),
    });
    expect(served).toMatchObject({ status: 0, stderr: "" });
  });

  test("apply does so too", async () => {
    const node = await startAnsweringNode({
      applyChanges: () => ({ revision: 5n, results: [{ action: 2 }], lagging }),
    });
    const stdin = "routes: [{http: {domain: a.example.com}, service: web}]\n";
    const run = await crosspoint(["apply", "-f", "-", "--wait", "all"], { rpc: node.rpc, stdin });
    expect(run.status).toBe(75);
    expect(run.stderr.split("\n").slice(-3)).toEqual(told);
    expect(node.asked).toMatchObject([["applyChanges", { wait: 3 }]]);
  });
});

test("backend list shows where each comes from and its TTL", async () => {
  const status = (address: string, more: object) => ({
    backend: { service: "web", address, weight: 100, ...more },
    source: address === "10.0.0.8:80" ? "etcd:/services/web/1" : "api",
  });
  const run = await asked(["backend", "list", "--wide"], {
    listBackends: () => ({
      backends: [
        status("10.0.0.7:80", { ttl: { seconds: 10n, nanos: 0 } }),
        status("10.0.0.8:80", {}),
        status("10.0.0.9:80", { ttl: { seconds: 1n, nanos: 500_000_000 } }),
      ],
    }),
  });
  const columns = run.stdout.split("\n").map((line) => line.split(/ {2,}/));
  expect(columns[0]?.slice(0, 5)).toEqual(["SERVICE", "ADDRESS", "WEIGHT", "TTL", "HEALTH"]);
  expect(columns.slice(1, 4).map((row) => [row[1], row[3], row[13]])).toEqual([
    ["10.0.0.7:80", "10s", "api"],
    ["10.0.0.8:80", "-", "etcd:/services/web/1"],
    ["10.0.0.9:80", "1.5s", "api"],
  ]);
});
