// Goal: what a route says by itself, a client gets: where to go, a page, a fixed answer; and a service answers
// where the redirect leads already. Method: real sockets, one worker.

import { describe, expect, test } from "vitest";
import { parseConditions } from "../../src/model/conditions.ts";
import { parseDomain, parseExactPath, parsePathPrefix } from "../../src/model/names.ts";
import { noWish, type OptionsWish, parseOptions } from "../../src/model/parse-options.ts";
import type { Route } from "../../src/model/route.ts";
import { answering, okAnswer, type Peer } from "../support/peer.ts";
import { serve } from "../support/served.ts";
import { type StrictMessage, statusOf, valuesOf } from "../support/strict-http.ts";
import { routeOf } from "../support/table-fixtures.ts";

interface Wish extends Partial<OptionsWish> {
  readonly prefix?: string;
  readonly exact?: string;
  readonly service?: boolean;
}

/** The route of every host, with these options. */
function routeWith({ prefix = "/", exact, service = true, ...wish }: Wish): Route {
  const { service: name, ...route } = routeOf("all", "*");
  const options = parseOptions({ ...noWish, ...wish }, "route");
  return {
    ...route,
    match: {
      kind: "http",
      domain: parseDomain("*"),
      pathPrefix: parsePathPrefix(prefix),
      ...(exact === undefined ? {} : { exactPath: parseExactPath(exact) }),
    },
    service: service ? name : undefined,
    ...(options === undefined ? {} : { options }),
  };
}

/** What the backend got, for the answer to tell. */
function headOf({ startLine, fields }: StrictMessage): string {
  return [startLine, ...fields.map(([name, value]) => `${name}: ${value}`), ""].join("\r\n");
}

const redirect = { scheme: "", host: "", port: 0, path: "", pathPrefix: "", status: 0 };

interface Serving {
  readonly peer: Peer;
  readonly ask: (line: string, fields?: string) => Promise<StrictMessage>;
}

async function serving(wish: Wish, settings = {}): Promise<Serving> {
  const { worker, client } = await serve({
    scripts: [answering((request) => okAnswer(headOf(request)))],
    settings,
  });
  await worker.change({ kind: "route-put", route: routeWith(wish) });
  const peer = await client();
  return {
    peer,
    async ask(line, fields = "") {
      peer.send(`${line} HTTP/1.1\r\nHost: a.test:8080\r\n${fields}\r\n`);
      return await peer.takeAnswer();
    },
  };
}

const trusting = { trustForwarded: ["127.0.0.0/8"] };

describe("a redirect", () => {
  test("sends the client to the other scheme, with the query, and keeps the connection", async () => {
    const { ask } = await serving({ redirect: { ...redirect, scheme: "https" }, service: false });
    for (const target of ["/x?y=1", "/"]) {
      const answer = await ask(`GET ${target}`);
      expect(statusOf(answer)).toBe(307);
      expect(valuesOf(answer, "location")).toEqual([`https://a.test${target}`]);
      expect(valuesOf(answer, "x-crosspoint-reason")).toEqual(["redirect"]);
    }
  });

  test("leaves to the service what came by https, as a trusted proxy says", async () => {
    const { ask } = await serving({ redirect: { ...redirect, scheme: "https" } }, trusting);
    expect(statusOf(await ask("GET /", "X-Forwarded-Proto: https\r\n"))).toBe(200);
    expect(statusOf(await ask("GET /", "X-Forwarded-Proto: HTTPS, http\r\n"))).toBe(200);
    expect(statusOf(await ask("GET /", "X-Forwarded-Proto: http\r\n"))).toBe(307);
    expect(statusOf(await ask("GET /"))).toBe(307);
  });

  test("does not believe a stranger about the scheme", async () => {
    const { ask } = await serving({ redirect: { ...redirect, scheme: "https" } });
    expect(statusOf(await ask("GET /", "X-Forwarded-Proto: https\r\n"))).toBe(307);
  });

  test("to where the request is already, without a service, is 404 and says why", async () => {
    const { ask } = await serving({ redirect: { ...redirect, host: "a.test" }, service: false });
    const answer = await ask("GET /");
    expect(statusOf(answer)).toBe(404);
    expect(valuesOf(answer, "x-crosspoint-reason")).toEqual(["redirect-to-itself"]);
  });

  test("takes a status, a port and a path", async () => {
    const { ask } = await serving({
      redirect: { ...redirect, host: "b.test", port: 8443, pathPrefix: "/new", status: 308 },
      prefix: "/old",
    });
    const answer = await ask("POST /old/x?q", "Content-Length: 0\r\n");
    expect(statusOf(answer)).toBe(308);
    expect(valuesOf(answer, "location")).toEqual(["http://b.test:8443/new/x?q"]);
  });

  test("of a request without a host needs one", async () => {
    const { peer } = await serving({ redirect: { ...redirect, scheme: "https" } });
    peer.send("GET / HTTP/1.0\r\n\r\n");
    expect(statusOf(await peer.takeAnswer())).toBe(400);
  });

  test("of a request without a host says so with the route's own page", async () => {
    const pages = [{ status: 400, contentType: "", body: "<p>which host?</p>" }];
    const { peer } = await serving({ redirect: { ...redirect, scheme: "https" }, pages });
    peer.send("GET / HTTP/1.0\r\n\r\n");
    expect((await peer.takeAnswer()).body).toBe("<p>which host?</p>");
  });
});

const maintenance = {
  status: 503,
  contentType: "text/html; charset=utf-8",
  body: "<h1>Zurück um 9</h1>",
  headers: { "Retry-After": "120", "X-Note": "planned" },
};

describe("a fixed answer", () => {
  test("is given with its fields, in bytes of UTF-8, and the connection stays", async () => {
    const { ask } = await serving({ answer: maintenance, service: false });
    for (let i = 0; i < 2; i++) {
      const answer = await ask("GET /");
      expect(statusOf(answer)).toBe(503);
      expect(Buffer.from(answer.body, "latin1").toString("utf8")).toBe(maintenance.body);
      expect(valuesOf(answer, "content-type")).toEqual([maintenance.contentType]);
      expect(valuesOf(answer, "retry-after")).toEqual(["120"]);
      expect(valuesOf(answer, "x-note")).toEqual(["planned"]);
      expect(valuesOf(answer, "x-crosspoint-reason")).toEqual(["fixed-answer"]);
    }
  });

  test("to HEAD has the length and no body", async () => {
    const { peer, ask } = await serving({ answer: maintenance, service: false });
    peer.send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    const answer = await peer.takeAnswer({ bodiless: true });
    expect(valuesOf(answer, "content-length")).toEqual([
      String(Buffer.byteLength(maintenance.body)),
    ]);
    expect(statusOf(await ask("GET /"))).toBe(503);
  });

  test("of 405 says Allow once, its own or ours", async () => {
    const refusal = { status: 405, contentType: "", body: "no", headers: {} };
    const { ask } = await serving({ answer: refusal, service: false });
    expect(valuesOf(await ask("GET /"), "allow")).toHaveLength(1);
    const { ask: askOwn } = await serving({
      answer: { ...refusal, headers: { Allow: "GET" } },
      service: false,
    });
    expect(valuesOf(await askOwn("GET /"), "allow")).toEqual(["GET"]);
  });

  test("of 204 has neither body nor length", async () => {
    const answer = { status: 204, contentType: "", body: "", headers: {} };
    const { ask } = await serving({ answer, service: false });
    const got = await ask("GET /");
    expect(statusOf(got)).toBe(204);
    expect(valuesOf(got, "content-length")).toEqual([]);
    expect(statusOf(await ask("GET /"))).toBe(204);
  });
});

describe("a page", () => {
  const page = { status: 503, contentType: "", body: "<p>later</p>" };
  const unreachable = async (wish: Wish, settings = {}) => {
    const { worker, client } = await serve({ addresses: [], scripts: [], settings });
    await worker.change({ kind: "route-put", route: routeWith(wish) });
    const peer = await client();
    peer.send("GET / HTTP/1.1\r\nHost: a.test\r\nAccept: application/json\r\n\r\n");
    return await peer.takeAnswer();
  };

  test("of the route stands in for our words, and the reason stays (TestCustom503ErrorPage)", async () => {
    const answer = await unreachable({ pages: [page] });
    expect(statusOf(answer)).toBe(503);
    expect(answer.body).toBe("<p>later</p>");
    expect(valuesOf(answer, "content-type")).toEqual(["text/html; charset=utf-8"]);
    expect(valuesOf(answer, "x-crosspoint-reason")).toEqual(["no-backend"]);
    expect(valuesOf(answer, "retry-after")).toEqual(["1"]);
  });

  test("of the node is second to the route's", async () => {
    const pages = [
      { status: 503, contentType: "text/plain", body: "node" },
      { status: 404, contentType: "text/plain", body: "nowhere" },
    ];
    expect((await unreachable({ pages: [page] }, { pages })).body).toBe("<p>later</p>");
    expect((await unreachable({}, { pages })).body).toBe("node");
  });

  test("of the node is for what has no route, and for what is no request", async () => {
    const pages = [
      { status: 404, contentType: "text/plain", body: "nowhere" },
      { status: 400, contentType: "text/plain", body: "nonsense" },
    ];
    const { worker, client } = await serve({ settings: { pages } });
    await worker.change({ kind: "route-removed", name: routeOf("all", "*").name });
    const peer = await client();
    peer.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect((await peer.takeAnswer()).body).toBe("nowhere");
    peer.send("GET /\r\n\r\n");
    expect((await peer.takeAnswer()).body).toBe("nonsense");
  });
});

describe("a rewrite", () => {
  const rewritten = async (
    wish: Wish & { readonly rewrite: NonNullable<OptionsWish["rewrite"]> },
    line: string,
    fields = "",
  ): Promise<string> => {
    const { ask } = await serving(wish);
    return (await ask(line, fields)).body;
  };

  test.for([
    ["/old", "/new", "/old", "/new"],
    ["/old", "/new", "/old/x/y?q=/old", "/new/x/y?q=/old"],
    ["/old", "/new", "/old//x", "/new//x"],
    ["/old", "/", "/old", "/"],
    ["/old", "/", "/old?q", "/?q"],
    ["/old", "/", "/old/x", "/x"],
    ["/", "/new", "/", "/new/"],
    ["/", "/new", "/x", "/new/x"],
  ] as const)("of %s to %s asks for %s as %s", async ([prefix, pathPrefix, sent, got]) => {
    const rewrite = { pathPrefix, host: "" };
    expect(await rewritten({ prefix, rewrite }, `GET ${sent}`)).toMatch(`GET ${got} HTTP/1.1\r\n`);
  });

  test("of an exact path replaces it whole", async () => {
    const wish = { exact: "/old", rewrite: { pathPrefix: "/new", host: "" } };
    expect(await rewritten(wish, "GET /old?q")).toMatch("GET /new?q HTTP/1.1\r\n");
  });

  test("of the host keeps the old one in X-Forwarded-Host", async () => {
    const head = await rewritten({ rewrite: { pathPrefix: "", host: "inner.test" } }, "GET /x");
    expect(head).toMatch("GET /x HTTP/1.1\r\n");
    expect(head.match(/^host: .*$/gim)).toEqual(["host: inner.test"]);
    expect(head).toMatch("x-forwarded-host: a.test:8080\r\n");
  });

  test("leaves the star of OPTIONS alone", async () => {
    const wish = { rewrite: { pathPrefix: "/new", host: "" } };
    expect(await rewritten(wish, "OPTIONS *")).toMatch("OPTIONS * HTTP/1.1\r\n");
  });

  test("of an absolute target has one Host", async () => {
    const wish = { prefix: "/old", rewrite: { pathPrefix: "/new", host: "inner.test" } };
    const head = await rewritten(wish, "GET http://a.test:8080/old/x");
    expect(head).toMatch("GET /new/x HTTP/1.1\r\n");
    expect(head.match(/^host: .*$/gim)).toEqual(["host: inner.test"]);
  });
});

test("conditions choose the route by what the request says", async () => {
  const { worker, client } = await serve({
    scripts: [answering((request) => okAnswer(headOf(request)))],
  });
  const canary = routeWith({
    answer: { status: 200, contentType: "", body: "canary", headers: {} },
    service: false,
  });
  const when = parseConditions(
    { methods: [], headers: [{ name: "X-Canary", op: "exact", value: "1" }], query: [] },
    "route.http",
  );
  await worker.change({
    kind: "route-put",
    route: {
      ...canary,
      name: routeOf("canary", "*").name,
      match: {
        ...canary.match,
        kind: "http",
        ...(when === undefined ? {} : { when }),
      } as Route["match"],
    },
  });
  const peer = await client();
  peer.send("GET / HTTP/1.1\r\nHost: a.test\r\nx-canary: 1\r\n\r\n");
  expect((await peer.takeAnswer()).body).toBe("canary");
  peer.send("GET / HTTP/1.1\r\nHost: a.test\r\nx-canary: 2\r\n\r\n");
  expect((await peer.takeAnswer()).body).toMatch("GET / HTTP/1.1\r\n");
});
