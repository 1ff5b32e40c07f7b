// Goal: a backend gets exactly the fields of interface.md: who asked, when, under which id; nothing
// that was meant for us alone; and what a stranger claims about forwarding is not believed.
// Method: real sockets; the request as the backend got it.

import { describe, expect, test } from "vitest";
import type { Change } from "../../src/model/change.ts";
import { parseServiceName } from "../../src/model/names.ts";
import { answering, okAnswer, type Peer } from "../support/peer.ts";
import { serve } from "../support/served.ts";
import { type StrictMessage, statusOf, valuesOf } from "../support/strict-http.ts";
import { backendOf, routeOf } from "../support/table-fixtures.ts";

const trusted = { trustForwarded: ["127.0.0.0/8"] };

/** Sends one request and answers what the backend got. */
async function forwarded(
  fields: string,
  settings: { readonly trustForwarded?: readonly string[] } = {},
  line = "GET / HTTP/1.1\r\nHost: a.test:8080\r\n",
): Promise<{ readonly request: StrictMessage; readonly httpPort: number }> {
  const { backend, client, worker } = await serve({ settings });
  const peer = await client();
  peer.send(`${line}${fields}\r\n`);
  const upstream = await backend.accept();
  const request = await upstream.takeRequest();
  upstream.send(okAnswer(""));
  await peer.takeAnswer();
  return { request, httpPort: worker.httpPort };
}

describe("forwarding fields", () => {
  test("say who asked, how and when (TestHTTPHeaders)", async () => {
    const before = Date.now();
    const { request, httpPort } = await forwarded("");
    expect(valuesOf(request, "host")).toEqual(["a.test:8080"]);
    expect(valuesOf(request, "x-forwarded-for")).toEqual(["127.0.0.1"]);
    expect(valuesOf(request, "x-forwarded-proto")).toEqual(["http"]);
    expect(valuesOf(request, "x-forwarded-host")).toEqual(["a.test:8080"]);
    expect(valuesOf(request, "x-forwarded-port")).toEqual([String(httpPort)]);
    const [start = ""] = valuesOf(request, "x-request-start");
    expect(start).toMatch(/^[0-9]{13}$/);
    expect(Number(start)).toBeGreaterThanOrEqual(before);
    expect(Number(start)).toBeLessThanOrEqual(Date.now());
    const [id = ""] = valuesOf(request, "x-request-id");
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  const claims = [
    "X-Forwarded-For: 203.0.113.5\r\n",
    "X-Forwarded-Proto: https\r\n",
    "X-Forwarded-Host: evil.test\r\n",
    "X-Forwarded-Port: 443\r\n",
    "X-Request-Start: 1000000000000\r\n",
  ].join("");

  test("of a stranger are replaced", async () => {
    const { request, httpPort } = await forwarded(claims);
    expect(valuesOf(request, "x-forwarded-for")).toEqual(["127.0.0.1"]);
    expect(valuesOf(request, "x-forwarded-proto")).toEqual(["http"]);
    expect(valuesOf(request, "x-forwarded-host")).toEqual(["a.test:8080"]);
    expect(valuesOf(request, "x-forwarded-port")).toEqual([String(httpPort)]);
    expect(valuesOf(request, "x-request-start")).not.toEqual(["1000000000000"]);
  });

  test("of a trusted proxy are kept, and its list is continued (TestHTTPHeadersFromClient)", async () => {
    const { request } = await forwarded(claims, trusted);
    expect(valuesOf(request, "x-forwarded-for")).toEqual(["203.0.113.5, 127.0.0.1"]);
    expect(valuesOf(request, "x-forwarded-proto")).toEqual(["https"]);
    expect(valuesOf(request, "x-forwarded-host")).toEqual(["evil.test"]);
    expect(valuesOf(request, "x-forwarded-port")).toEqual(["443"]);
    expect(valuesOf(request, "x-request-start")).toEqual(["1000000000000"]);
  });

  test("of a trusted proxy in several lines are one list (TestFwdProtoHandler)", async () => {
    const lines =
      "X-Forwarded-For: 203.0.113.5\r\nX-A: b\r\nX-Forwarded-For: 198.51.100.7, ::1\r\n";
    const { request } = await forwarded(lines, trusted);
    expect(valuesOf(request, "x-forwarded-for")).toEqual([
      "203.0.113.5, 198.51.100.7, ::1, 127.0.0.1",
    ]);
    expect(valuesOf(request, "x-a")).toEqual(["b"]);
  });

  test("that a trusted proxy leaves out are ours", async () => {
    for (const only of ["X-Forwarded-Proto: https\r\n", "X-Forwarded-Port: 443\r\n", ""]) {
      const { request, httpPort } = await forwarded(only, trusted);
      expect(valuesOf(request, "x-forwarded-for")).toEqual(["127.0.0.1"]);
      expect(valuesOf(request, "x-forwarded-proto")).toEqual([
        only.includes("Proto") ? "https" : "http",
      ]);
      expect(valuesOf(request, "x-forwarded-port")).toEqual([
        only.includes("Port") ? "443" : String(httpPort),
      ]);
    }
  });

  test("of one that is not in the trusted ranges are replaced", async () => {
    const { request } = await forwarded(claims, { trustForwarded: ["10.0.0.0/8", "::/0"] });
    expect(valuesOf(request, "x-forwarded-for")).toEqual(["127.0.0.1"]);
  });
});

describe("X-Request-Id (TestClientProvidedRequestID)", () => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-";

  test.for([
    ["empty", "", false],
    ["of 1 character", "a", false],
    ["of 19 characters", "a".repeat(19), false],
    ["of 20 characters", "a".repeat(20), true],
    ["of 200 characters", "a".repeat(200), true],
    ["of 201 characters", "a".repeat(201), false],
    ["of the whole alphabet", alphabet, true],
    ["with a *", `${"a".repeat(30)}*`, false],
  ] as const)("%s", async ([, id, kept]) => {
    const { request } = await forwarded(`X-Request-Id: ${id}\r\n`);
    const ids = valuesOf(request, "x-request-id");
    expect(ids.length).toBe(1);
    if (kept) expect(ids[0]).toBe(id);
    else expect(ids[0]).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("is another one for every request", async () => {
    const ids = new Set<string>();
    const { client } = await serve({
      scripts: [
        answering((request) => {
          ids.add(valuesOf(request, "x-request-id")[0] ?? "");
          return okAnswer("");
        }),
      ],
    });
    const peer = await client();
    for (let i = 0; i < 600; i++) {
      peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      await peer.takeAnswer();
    }
    expect(ids.size).toBe(600);
  });
});

describe("hop by hop", () => {
  test.for([
    ["close", [], ["x-a"]],
    ["keep-alive", [], ["x-a"]],
    ["X-A", ["x-a"], []],
    ["x-a, close", ["x-a"], []],
    ["Keep-Alive, X-A", ["x-a"], []],
    ["cookie", [], ["cookie"]],
  ] as const)(
    "Connection: %s takes along what it names (TestConnectionHeaders)",
    async ([value, gone, kept]) => {
      const lines = `Connection: ${value}\r\nX-A: 1\r\nCookie: c=d\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\n`;
      const { request } = await forwarded(lines);
      for (const name of [...gone, "connection", "keep-alive", "proxy-connection", "te"]) {
        expect(valuesOf(request, name), name).toEqual([]);
      }
      for (const name of kept) expect(valuesOf(request, name).length, name).toBe(1);
    },
  );

  test("the same on the way back", async () => {
    const { client } = await serve({
      scripts: [
        answering(() =>
          okAnswer("x", "Connection: X-A\r\nX-A: 1\r\nX-B: 2\r\nKeep-Alive: timeout=5\r\n"),
        ),
      ],
    });
    const peer = await client();
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const answer = await peer.takeAnswer();
    expect(valuesOf(answer, "x-a")).toEqual([]);
    expect(valuesOf(answer, "x-b")).toEqual(["2"]);
    expect(valuesOf(answer, "keep-alive")).toEqual([]);
    expect(valuesOf(answer, "connection")).toEqual([]);
  });

  test("Proxy-Authenticate and Proxy-Authorization reach the backend (TestHTTPProxyHeadersFromClient)", async () => {
    const { request } = await forwarded(
      "Proxy-Authenticate: fake\r\nProxy-Authorization: also\r\n",
    );
    expect(valuesOf(request, "proxy-authenticate")).toEqual(["fake"]);
    expect(valuesOf(request, "proxy-authorization")).toEqual(["also"]);
  });
});

describe("the request line", () => {
  test.for([
    ["/a%2Fb/%e2%82%ac?x=%20&y=http://other/", "/a%2Fb/%e2%82%ac?x=%20&y=http://other/"],
    ["//two/slashes/../dots", "//two/slashes/../dots"],
    ["/http://a.test/path", "/http://a.test/path"],
    ["http://a.test/path?q", "/path?q"],
    ["http://a.test", "/"],
  ])(
    "%s arrives as %s (TestRequestURIEscaping, TestDoubleSlashPath)",
    async ([target, arrives]) => {
      const { request } = await forwarded("", {}, `GET ${target} HTTP/1.1\r\nHost: a.test\r\n`);
      expect(request.startLine).toBe(`GET ${arrives} HTTP/1.1`);
      expect(valuesOf(request, "host")).toEqual(["a.test"]);
    },
  );
});

const ask = (cookie: string): string =>
  `GET / HTTP/1.1\r\nHost: a.test\r\n${cookie === "" ? "" : `Cookie: x=y; ${cookie}; z=_backend\r\n`}\r\n`;
const asking = (method: string, cookie: string, fields: string, body = ""): string =>
  ask(cookie).replace("GET", method).replace(/\r\n$/, `${fields}\r\n${body}`);
const upgradeFields = "Connection: upgrade\r\nUpgrade: echo\r\n";
const cookieOf = (answer: StrictMessage): string =>
  valuesOf(answer, "set-cookie")[0]?.split(";")[0] ?? "";

describe("a sticky route", () => {
  const twice = [answering(() => okAnswer("one")), answering(() => okAnswer("two"))];
  test("keeps a client with its backend; the cookie is set once (TestStickyHTTPRoute)", async () => {
    const { client, worker, backends } = await serve({ sticky: true, scripts: twice });
    const peer = await client();
    peer.send(ask(""));
    const first = await peer.takeAnswer();
    const cookie = cookieOf(first);
    expect(valuesOf(first, "set-cookie")[0]).toMatch(
      /^_backend=[A-Za-z0-9_-]+; Path=\/; HttpOnly$/,
    );
    for (let i = 0; i < 10; i++) {
      peer.send(ask(cookie));
      const answer = await peer.takeAnswer();
      expect(answer.body).toBe(first.body);
      expect(valuesOf(answer, "set-cookie")).toEqual([]);
    }
    const gone = backends[first.body === "one" ? 0 : 1]!;
    await worker.change({ kind: "backend-removed", ...backendOf("web", gone.address) });
    peer.send(ask(cookie));
    const moved = await peer.takeAnswer();
    expect(moved.body).not.toBe(first.body);
    expect(cookieOf(moved)).not.toBe("");
    expect(cookieOf(moved)).not.toBe(cookie);
  });

  test.for([
    ["GET", (cookie: string) => ask(cookie)],
    [
      "POST with a body",
      (cookie: string) => asking("POST", cookie, "Content-Length: 4\r\n", "body"),
    ],
    ["a plain upgrade", (cookie: string) => asking("GET", cookie, upgradeFields)],
    ["an upgrade with a POST", (cookie: string) => asking("POST", cookie, upgradeFields)],
  ] as const)(
    "%s goes elsewhere when the backend is dead, and says so (TestClosedBackendRetriesAnotherBackend)",
    async ([, request]) => {
      const { client, backends } = await serve({ sticky: true, scripts: twice });
      const peer = await client();
      peer.send(ask(""));
      const first = await peer.takeAnswer();
      await backends[first.body === "one" ? 0 : 1]!.refuse();
      peer.send(request(cookieOf(first)));
      const moved = await peer.takeAnswer();
      expect(statusOf(moved)).toBe(200);
      expect(moved.body).not.toBe(first.body);
      expect(cookieOf(moved)).not.toBe("");
      expect(cookieOf(moved)).not.toBe(cookieOf(first));
    },
  );

  test("does not believe a cookie that is not ours", async () => {
    const { client } = await serve({ sticky: true, scripts: twice });
    const peer = await client();
    for (const cookie of ["_backend=", "_backend=AAAA", `_backend=${"A".repeat(80)}`]) {
      peer.send(ask(cookie));
      const answer = await peer.takeAnswer();
      expect(statusOf(answer)).toBe(200);
      expect(cookieOf(answer)).not.toBe("");
    }
  });
});

describe("a sticky route over Upgrade", () => {
  const upgrade = (cookie: string): string =>
    `GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: echo\r\n${cookie === "" ? "" : `Cookie: ${cookie}\r\n`}\r\n`;
  const switching = (name: string) => async (peer: Peer) => {
    await peer.takeRequest();
    peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    peer.send(name);
  };

  test("sets the cookie with the 101 and honours it (TestStickyHTTPRouteWebsocket)", async () => {
    const { client, worker, backends } = await serve({
      sticky: true,
      scripts: [switching("one"), switching("two")],
    });
    const connect = async (cookie: string): Promise<readonly [string, StrictMessage]> => {
      const peer = await client();
      peer.send(upgrade(cookie));
      const answer = await peer.takeMessage("response", true);
      return [await peer.takeBytes(3), answer];
    };
    const [first, answer] = await connect("");
    expect(statusOf(answer)).toBe(101);
    const cookie = cookieOf(answer);
    expect(cookie).toMatch(/^_backend=/);
    for (let i = 0; i < 10; i++) {
      const [name, again] = await connect(cookie);
      expect(name).toBe(first);
      expect(valuesOf(again, "set-cookie")).toEqual([]);
    }
    const gone = backends[first === "one" ? 0 : 1]!;
    await worker.change({ kind: "backend-removed", ...backendOf("web", gone.address) });
    const [other, moved] = await connect(cookie);
    expect(other).not.toBe(first);
    expect(cookieOf(moved)).toMatch(/^_backend=/);
    expect(cookieOf(moved)).not.toBe(cookie);
  });
});

describe("a sticky route that is split", () => {
  test("keeps a client with its service and its backend; a weight of 0 lets it go", async () => {
    const { client, worker, backends } = await serve({
      sticky: true,
      scripts: [answering(() => okAnswer("one")), answering(() => okAnswer("two"))],
    });
    const canary = parseServiceName("canary");
    const web = parseServiceName("web");
    const { service: _, ...all } = { ...routeOf("all", "*"), sticky: true };
    const split = (weight: number): Change => ({
      kind: "route-put",
      route: {
        ...all,
        service: undefined,
        options: {
          split: [
            { service: canary, weight },
            { service: web, weight: 1 },
          ],
        },
      },
    });
    await worker.change(
      { kind: "backend-removed", ...backendOf("web", backends[1]!.address) },
      { kind: "backend-put", backend: backendOf("canary", backends[1]!.address) },
      split(1000),
    );
    const peer = await client();
    let cookie = "";
    for (let i = 0; cookie === "" && i < 100; i++) {
      peer.send(ask(""));
      const answer = await peer.takeAnswer();
      if (answer.body === "two") cookie = cookieOf(answer);
    }
    await worker.change(split(1));
    for (let i = 0; i < 20; i++) {
      peer.send(ask(cookie));
      expect((await peer.takeAnswer()).body).toBe("two");
    }
    await worker.change(split(0));
    peer.send(ask(cookie));
    const left = await peer.takeAnswer();
    expect(left.body).toBe("one");
    expect(cookieOf(left)).not.toBe("");
  });
});
