// Goal: the first minute keeps its promise: `--demo`, then the sample backends answer in turns.

import { expect, test } from "vitest";
import { temporaryDirectory } from "../store/temporary-directory.ts";
import { Launched } from "../support/launched.ts";
import { Client } from "../support/rpc-node.ts";
import { answerOf, startWholeNode } from "../support/whole-node.ts";

const flags = ["--demo", "--http=127.0.0.1:0", "--rpc=127.0.0.1:0", "--admin=127.0.0.1:0"];
const demoHost = { Host: "demo.localhost" };
const nameIn = (body: string): string =>
  /^Hello from sample backend (\w+):/.exec(body)?.[1] ?? body;

test("fresh connections alternate between the two, strictly; the log shows them; SIGTERM ends it all", async () => {
  const demo = new Launched(flags);
  const { httpPort, rpc, line } = await demo.ready();
  expect(line).toContain(" workers=1 ");
  await demo.untilPrinted(() => demo.err.endsWith("route list\n"), "the hint");
  expect(demo.err).toContain(`try:  curl http://demo.localhost:${httpPort}\n`);
  expect(demo.err).toContain(`npx crosspoint --rpc ${rpc} route list`);
  const names: string[] = [];
  for (let i = 0; i < 10; i++) names.push(nameIn((await answerOf(httpPort, "/", demoHost)).body));
  const [first, second] = names;
  expect(new Set([first, second])).toEqual(new Set(["one", "two"]));
  expect(names).toEqual(names.map((_name, i) => (i % 2 === 0 ? first : second)));
  expect((await answerOf(httpPort, "/", { Host: "other.test" })).status).toBe(404);
  const client = new Client(rpc);
  const { backends } = await client.call("listBackends", { service: "demo" });
  client.close();
  expect(backends.map(({ routes, requestsTotal }) => [routes, requestsTotal])).toEqual([
    [["demo-localhost"], 5n],
    [["demo-localhost"], 5n],
  ]);
  expect(await demo.stop()).toBe(0);
  const lines = demo.out.trim().split("\n").slice(1);
  expect(lines).toHaveLength(11);
  expect(lines.every((text) => typeof JSON.parse(text) === "object")).toBe(true);
});

test("on kept connections they alternate too, and nothing of the demo outlives its node", async () => {
  const { client, get, node } = await startWholeNode({ demo: true, workers: 1 });
  const names = [];
  for (let i = 0; i < 4; i++) names.push(nameIn((await get("demo.localhost")).body));
  expect(names.slice(0, 2)).toEqual(names.slice(2));
  const { backends } = await client.call("listBackends", { service: "demo" });
  await node.stop(0);
  for (const { backend } of backends) {
    await expect(fetch(`http://${backend?.address}/`)).rejects.toThrow("fetch failed");
  }
});

test("on a store that has the demo's route already it starts again", async () => {
  const directory = temporaryDirectory();
  for (let i = 0; i < 2; i++) {
    const demo = new Launched([
      ...flags,
      `--store=sqlite:${directory}/r.db`,
      `--state=${directory}`,
    ]);
    const { httpPort } = await demo.ready();
    expect((await answerOf(httpPort, "/", demoHost)).status).toBe(200);
    expect(await demo.stop()).toBe(0);
  }
});
