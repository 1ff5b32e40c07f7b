// Goal: an operator reads what becomes of a request: who may come, where it is sent, which share it gets.
// Method: whole explanations of what a winning route does, word for word; the first step and the winner are
// explain.test.ts's.

import { describe, expect, test } from "vitest";
import type { Change } from "../../src/model/change.ts";
import {
  parseDomain,
  parseExactPath,
  parsePathPrefix,
  parseServiceName,
} from "../../src/model/names.ts";
import type { RouteOptions } from "../../src/model/route-options.ts";
import type { HttpQuestion } from "../../src/routing/question-facts.ts";
import { asking, backend, routeWith, tableOf } from "./changes.ts";

const web = parseServiceName("web");
const canary = parseServiceName("canary");
const https: RouteOptions = { redirect: { scheme: "https", status: 307 } };
const toB: RouteOptions = { redirect: { host: parseDomain("b.com"), status: 308 } };
const page = (status: number) => ({ status, contentType: "text/html", body: "" });
const answer = { status: 418, contentType: "text/plain", body: "", headers: {} };
const picks = ["service web picks among 1 backend by least-loaded"];
const gets = [...picks, "backend 10.0.0.1:80, weight 100, 0 in flight"];

interface Case {
  readonly name: string;
  readonly match?: string;
  /** Undefined: no service. */
  readonly service?: string;
  readonly options: RouteOptions;
  readonly ask?: HttpQuestion;
  /** Behind "... wins". */
  readonly steps: readonly string[];
  readonly status?: number;
  readonly draw?: number;
}

const cases: readonly Case[] = [
  {
    name: "a redirect",
    options: https,
    ask: asking("a.com:8080", "/x?q=1"),
    steps: ["the client is sent to https://a.com/x?q=1 with 307"],
    status: 307,
  },
  {
    name: "a redirect that has nowhere else to lead, and a service behind it",
    service: "web",
    options: https,
    ask: asking("a.com", "/x", { headers: { "X-Forwarded-Proto": "HTTPS" } }),
    steps: [
      "the scheme is https, if X-Forwarded-Proto comes from a proxy that is trusted",
      "the request is already where the redirect leads",
      ...gets,
    ],
  },
  {
    name: "a redirect that has nowhere else to lead, and nobody behind it",
    match: "*",
    options: toB,
    ask: asking("b.com", "/"),
    steps: [
      "the request is already where the redirect leads",
      "the route has no service that would answer there: 404",
    ],
    status: 404,
  },
  {
    name: "a redirect of a prefix",
    match: "a.com/old",
    options: { redirect: { pathPrefix: parsePathPrefix("/new"), status: 301 } },
    ask: asking("a.com:81", "/old/x"),
    steps: ["the client is sent to http://a.com:81/new/x with 301"],
    status: 301,
  },
  {
    name: "a redirect to a whole path",
    options: { redirect: { path: parseExactPath("/m"), status: 303 } },
    ask: asking("[::1]:80", "/old/x"),
    match: "*",
    steps: ["the client is sent to http://[::1]/m with 303"],
    status: 303,
  },
  {
    name: "an answer of its own",
    options: { answer },
    steps: ["the router answers 418 by itself"],
    status: 418,
  },
  {
    name: "a rewrite of path and host",
    match: "a.com/api",
    service: "web",
    options: { rewrite: { pathPrefix: parsePathPrefix("/v2"), host: parseDomain("in.a.com") } },
    ask: asking("a.com", "/api/x?q"),
    steps: ["the backend is asked for /v2/x", "the backend is told Host in.a.com", ...gets],
  },
  {
    name: "a mirror with backends",
    service: "web",
    options: { mirror: { service: web, percent: 5 } },
    steps: ["5 % of the requests are copied to service web", ...gets],
  },
  {
    name: "a mirror without",
    service: "web",
    options: { mirror: { service: canary, percent: 100 } },
    steps: [
      "100 % of the requests are copied to service canary (none now: it has no backend)",
      ...gets,
    ],
  },
  {
    name: "a split, one of whose services has no backend",
    options: {
      split: [
        { service: canary, weight: 10 },
        { service: web, weight: 90 },
      ],
    },
    draw: 0,
    steps: [
      "the requests are split: canary 10 of 100 (none now: it has no backend), web 90 of 100",
      "service web is drawn this time",
      ...gets,
    ],
  },
  {
    name: "a client that is denied",
    service: "web",
    options: { access: { allow: [], deny: ["10.0.0.0/8", "192.0.2.1"] }, pages: [page(403)] },
    ask: asking("a.com", "/", { clientAddress: "10.1.2.3" }),
    steps: [
      "client 10.1.2.3 is denied: it is in 10.0.0.0/8",
      "the client may not come: 403",
      "the route has a page of its own for 403",
    ],
    status: 403,
  },
  {
    name: "a client that is denied although it is allowed",
    service: "web",
    options: { access: { allow: ["10.0.0.0/8"], deny: ["10.1.0.0/16"] } },
    ask: asking("a.com", "/", { clientAddress: "10.1.2.3" }),
    steps: ["client 10.1.2.3 is denied: it is in 10.1.0.0/16", "the client may not come: 403"],
    status: 403,
  },
  {
    name: "a client that is not allowed",
    service: "web",
    options: { access: { allow: ["10.0.0.0/8"], deny: [] } },
    ask: asking("a.com", "/", { clientAddress: "::1" }),
    steps: ["client ::1 is not allowed: only 10.0.0.0/8", "the client may not come: 403"],
    status: 403,
  },
  {
    name: "a client that may come",
    service: "web",
    options: { access: { allow: ["10.0.0.0/8"], deny: ["10.1.0.0/16"] } },
    ask: asking("a.com", "/", { clientAddress: "::ffff:10.2.3.4" }),
    steps: ["client ::ffff:10.2.3.4 is allowed: it is in 10.0.0.0/8", ...gets],
  },
  {
    name: "a client whom nobody denies",
    service: "web",
    options: { access: { allow: [], deny: ["10.1.0.0/16"] } },
    ask: asking("a.com", "/", { clientAddress: "10.2.3.4" }),
    steps: ["client 10.2.3.4 is in no denied range", ...gets],
  },
  {
    name: "nobody in particular",
    service: "web",
    options: {
      access: { allow: Array.from({ length: 10 }, (_, i) => `10.0.0.${i}`), deny: ["::/0"] },
    },
    steps: [
      "who may come: not ::/0, and of the others only 10.0.0.0, 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5, 10.0.0.6, 10.0.0.7 and 2 more",
      ...gets,
    ],
  },
  {
    name: "tries",
    service: "web",
    options: {
      retry: { tries: 3, perTryMs: 250, statuses: [502, 503], budgetPercent: 10, hedgeMs: 40 },
      timeoutMs: 2_000,
    },
    steps: [
      ...gets,
      "the request is tried 3 times in all: again when nothing could be sent, or the connection broke before the answer, or the time for a try is over, or the answer is 502, 503",
      "only an idempotent request is sent again, and none of whose answer the client has had a byte",
      "each try has 250 ms until its answer begins: then 504 try-time",
      "retries are at most 10 of 100 answers of the service",
      "an idempotent request without an answer after 40 ms goes to a second backend as well",
      "the whole request may take 2000 ms, over all tries: then 504 request-time",
    ],
  },
  {
    name: "a single try",
    service: "web",
    options: { retry: { tries: 1, hedgeMs: 40 } },
    steps: [...gets, "the request is tried once"],
  },
  {
    name: "tries that leave most to the node",
    service: "web",
    options: { retry: { on: ["reset"], statuses: [503] } },
    steps: [
      ...gets,
      "the request is tried as often as the node allows: again when the connection broke before the answer",
      "only an idempotent request is sent again, and none of whose answer the client has had a byte",
    ],
  },
  {
    name: "a rate",
    service: "web",
    options: { rateLimit: { requests: 10, perMs: 60_000, burst: 20, key: "client" } },
    steps: [
      "at most 10 requests in 60 s, 20 at once, of each client address, on each node; the rest gets 429",
      ...gets,
    ],
  },
  {
    name: "a service without backends, and a page",
    service: "nobody",
    options: { pages: [page(502), page(503)] },
    steps: [
      "service nobody has no backend: 503 no-backend",
      "the route has a page of its own for 503",
    ],
    status: 503,
  },
];

describe("explain tells", () => {
  test.for(cases)("$name", ({ match = "a.com", service, options, ask, steps, ...rest }) => {
    const table = tableOf(routeWith("r", match, service, options), backend("web", "10.0.0.1:80"));
    const found = table.explain(ask ?? asking("a.com", "/"), () => rest.draw ?? 0.5);
    expect(found.steps.slice(2)).toEqual(steps);
    expect(found.route).toBe("r");
    expect(found.status).toBe(rest.status ?? 0);
    const names = [found.service, found.backend];
    if (found.status === 0) expect(names).toEqual(["web", "10.0.0.1:80"]);
    else expect(names).toEqual([found.status === 503 ? "nobody" : "", ""]);
  });

  test("that who comes to a paused service without backends waits, too", () => {
    const pause = { queue: 5, queueMs: 1_000, sinceMs: 0 };
    const paused: Change = {
      kind: "service-put",
      service: { name: web, policy: undefined, options: { pause } },
    };
    const table = tableOf(routeWith("r", "a.com", "web"), routeWith("t", "tcp:1", "web"), paused);
    const request = table.explain(asking("a.com", "/"), () => 0);
    expect(request).toMatchObject({ route: "r", service: "web", backend: "", status: 0 });
    expect(request.steps.slice(2)).toEqual([
      "service web is paused since 1970-01-01T00:00:00.000Z: requests wait, 5 at most, for 1000 ms at most",
      "service web has no backend: the request waits for one, as long as it may",
    ]);
    const connection = table.explain({ kind: "tcp", port: 1 }, () => 0);
    expect(connection.steps.at(-1)).toBe(
      "service web has no backend: the connection waits for one, as long as it may",
    );
  });

  test("what a TCP route does with connections", () => {
    const options: RouteOptions = {
      split: [
        { service: canary, weight: 1 },
        { service: web, weight: 1 },
      ],
      access: { allow: ["10.0.0.0/8"], deny: [] },
      rateLimit: { requests: 3, perMs: 1_000, burst: 3, key: "route" },
    };
    const told = [
      "who may come: only 10.0.0.0/8",
      "at most 3 connections in 1 s, 3 at once, of all clients together, on each node; the rest is closed",
    ];
    const table = tableOf(
      routeWith("r", "tcp:1", undefined, options),
      backend("web", "10.0.0.1:80"),
    );
    expect(table.explain({ kind: "tcp", port: 1 }, () => 0)).toMatchObject({
      service: "web",
      status: 0,
      steps: [
        expect.anything(),
        ...told,
        "the requests are split: canary 1 of 2 (none now: it has no backend), web 1 of 2",
        "service web is drawn this time",
        ...gets,
      ],
    });
    const nobody = tableOf(routeWith("r", "tcp:1", undefined, options));
    const { steps, ...rest } = nobody.explain({ kind: "tcp", port: 1 }, () => 0);
    expect(rest).toEqual({ route: "r", service: "canary", backend: "", status: 0 });
    expect(steps.at(-1)).toBe("service canary has no backend: the connection is closed");
  });
});
