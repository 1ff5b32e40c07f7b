// Goal: what README.md and OPERATING.md promise of routes that say more is what a node does.
// Method: each block is typed into a real node, and then requests are sent, or the steps of `explain` are read.

import { once } from "node:events";
import { mkdtempSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
import { root } from "./support/source-tree.ts";
import { type DemoNode, shellBlocks, startDemo, type } from "./support/typed-document.ts";

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** GET of a URL whose host is only a name, at the node's own port. */
async function ask(
  { httpPort }: DemoNode,
  url: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const { host, pathname, search } = new URL(url);
  const asked = request({
    host: "127.0.0.1",
    port: httpPort,
    path: `${pathname}${search}`,
    headers: { host, ...headers },
    agent: false,
  });
  asked.end();
  const [response]: IncomingMessage[] = await once(asked, "response");
  if (response === undefined) throw new Error("no answer");
  return { status: response.statusCode, headers: response.headers, body: await text(response) };
}

/** The first answer that is none of the backend's; far more are asked for than any rate here allows. */
async function refusedOnce(node: DemoNode, url: string): Promise<Answer> {
  for (let i = 0; i < 20; i++) {
    const answers = await Promise.all(Array.from({ length: 30 }, () => ask(node, url)));
    const refused = answers.find(({ status }) => status !== 200);
    if (refused !== undefined) return refused;
  }
  throw new Error(`${url} was never refused`);
}

/** A backend of `service` that answers with its name and the path that it was asked for. */
async function addBackend(node: DemoNode, service: string): Promise<void> {
  const server = createServer(({ url }, response) => void response.end(`${service} ${url}`));
  server.listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("listens nowhere");
  await type(`npx crosspoint backend add ${service} 127.0.0.1:${address.port}`, node);
}

async function nodeWith(...services: readonly string[]): Promise<DemoNode> {
  const node = await startDemo();
  for (const service of services) await addBackend(node, service);
  return node;
}

function linesUnder(path: string, heading: string): readonly string[] {
  return shellBlocks(path, heading).flatMap((block) => block.split("\n").filter(Boolean));
}

const shop = "http://shop.example.com/";

describe("typed into a real node", { timeout: 60_000 }, () => {
  test("README.md: routes can say more", async () => {
    const node = await nodeWith("hello");
    await type("npx crosspoint route add hello.localhost hello", node);
    const shown: string[] = [];
    const lines = linesUnder("README.md", "Routes can say more");
    for (const line of lines) {
      // The second version is the first once more; here it has a voice of its own.
      if (line.startsWith("npx crosspoint backend add hello-next"))
        await addBackend(node, "hello-next");
      else shown.push(await type(line, node));
    }
    const [, , , , , tester, stranger] = shown;
    expect(shown).toHaveLength(7);
    expect(tester).toMatch(/^route canary-\S+ -> service hello-next -> backend/m);
    expect(stranger).toMatch(/-> the router answers 403 {2}/);
    const canary = "http://canary.localhost/";
    expect((await ask(node, canary)).body).toMatch(/^hello(?:-next)? \/$/);
    expect((await ask(node, canary, { "x-canary": "1" })).body).toBe("hello-next /");
    const moved = await ask(node, "http://old.localhost/x?y");
    expect(moved.status).toBe(308);
    expect(moved.headers.location).toBe(`http://hello.localhost:${node.httpPort}/x?y`);
    const closed = await ask(node, "http://hello.localhost/closed");
    expect(closed).toMatchObject({ status: 503, body: "Back at noon." });
    expect(closed.headers["retry-after"]).toBe("600");
    const admin = "http://hello.localhost/admin/users";
    expect((await ask(node, admin)).body).toBe("hello /users");
    expect(await refusedOnce(node, admin)).toMatchObject({ status: 429 });
  });

  test("OPERATING.md: a canary", async () => {
    const node = await nodeWith("shop", "shop-next");
    const [first, testers, half, all, end, ...others] = linesUnder("docs/OPERATING.md", "A canary");
    expect(others).toEqual([]);
    await type(first!, node);
    await type(testers!, node);
    expect((await ask(node, shop, { "x-canary": "1" })).body).toBe("shop-next /");
    expect((await ask(node, shop)).headers["set-cookie"]).toHaveLength(1);
    expect(await type(half!, node)).toContain("-> shop 50, shop-next 50  sticky");
    await type(all!, node);
    expect((await ask(node, shop)).body).toBe("shop-next /");
    await type(end!, node);
    expect(await type("npx crosspoint route list", node)).not.toContain("x-canary");
  });

  test("OPERATING.md: https behind a TLS terminator", async () => {
    const node = await nodeWith("web");
    const lines = linesUnder("docs/OPERATING.md", "https behind a TLS terminator");
    const shown: string[] = [];
    for (const line of lines) shown.push(await type(line, node));
    expect(shown).toHaveLength(3);
    expect(shown[1]).toContain("is sent to https://www.example.com/cart?id=7 with 308\n");
    expect(shown[2]).toMatch(/-> service web -> backend/);
    // Nobody is trusted here: whatever is said, it came by http.
    const { status, headers } = await ask(node, "http://www.example.com/a?b", {
      "x-forwarded-proto": "https",
    });
    expect({ status, location: headers.location }).toEqual({
      status: 308,
      location: "https://www.example.com/a?b",
    });
  });

  test("OPERATING.md: where --redirect leads, line by line", async () => {
    const node = await nodeWith();
    const { httpPort } = node;
    const rows = [
      ...readFileSync(join(root, "docs/OPERATING.md"), "utf8").matchAll(
        /^\| `((?:https|\/)\S*)` \| (https?:\S+) \|$/gm,
      ),
    ];
    expect(rows).toHaveLength(6);
    for (const [, to = "", expected] of rows) {
      await type(`npx crosspoint route add old.example.com/a --redirect '${to}' --replace`, node);
      const { headers } = await ask(node, "http://old.example.com/a/b");
      expect(headers.location?.replace(`:${httpPort}`, ""), to).toBe(expected);
    }
  });

  test("OPERATING.md: a maintenance page", async () => {
    const node = await nodeWith();
    const file = join(mkdtempSync(join(tmpdir(), "crosspoint-recipes-")), "closed.html");
    const [made, closed, open, ...others] = linesUnder(
      "docs/OPERATING.md",
      "A maintenance page",
    ).map((line) => line.replace("closed.html", file));
    expect(others).toEqual([]);
    await type(made!, node);
    await type(closed!, node);
    const answer = await ask(node, shop);
    expect(answer).toMatchObject({ status: 503, body: "<p>Back at noon.</p>\n" });
    expect(answer.headers).toMatchObject({
      "retry-after": "600",
      "content-type": "text/html; charset=utf-8",
    });
    await type(open!, node);
    expect(await ask(node, shop)).toMatchObject({ status: 503, body: "<p>Back at noon.</p>\n" });
    await addBackend(node, "shop");
    expect(await ask(node, shop)).toMatchObject({ status: 200, body: "shop /" });
  });

  test("OPERATING.md: who may come, and how much", async () => {
    const node = await nodeWith("admin", "search");
    const shown: string[] = [];
    const lines = ["Who may come", "How much may come"].flatMap((heading) =>
      linesUnder("docs/OPERATING.md", heading),
    );
    for (const line of lines) shown.push(await type(line, node));
    const [, allowed, denied, , limited, ...others] = shown;
    expect(others).toEqual([]);
    expect(allowed).toContain("the backend is asked for /users\n");
    expect(allowed).toMatch(/-> service admin -> backend/);
    expect(denied).toMatch(/192\.0\.2\.66 is denied[^]*-> the router answers 403 {2}/);
    expect(limited).toContain("at most 20 requests in 1 s, 40 at once, of each client address");
    // This machine is in none of the ranges.
    expect(await ask(node, `${shop}admin/users`)).toMatchObject({ status: 403 });
    expect(await ask(node, `${shop}search`)).toMatchObject({ status: 200, body: "search /search" });
    expect(await refusedOnce(node, `${shop}search`)).toMatchObject({ status: 429 });
  });
});
