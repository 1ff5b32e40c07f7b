// Goal: an operator reads why a request goes where it goes.
// Method: whole explanations, word for word. That explain and match agree is in the property test.

import { describe, expect, test } from "vitest";
import { Policy } from "../../src/model/service.ts";
import { asked } from "../support/picks.ts";
import { asking, backend, route, service, tableOf } from "./changes.ts";

const random = (): number => 0;

describe("explain", () => {
  const table = tableOf(
    route("any", "*", "fallback"),
    route("wild", "*.example.com"),
    route("app", "app.example.com"),
    route("api", "app.example.com/api", "api", true),
    route("v1", "app.example.com/api/v1"),
    route("db", "tcp:5432", "postgres"),
    route("lonely", "lonely.com", "nobody"),
    backend("api", "10.0.0.1:80"),
    backend("api", "10.0.0.2:80", 50),
    backend("postgres", "[::1]:5432"),
    service("api", Policy.RoundRobin),
  );
  table.service("postgres")!.backends[0]!.recorded(0).lastFailure = "connection refused";
  table.service("postgres")!.backends[0]!.endpoint.inFlight = 2;

  test("names every candidate and why it lost, then the backend", () => {
    const question = asking("App.Example.COM.:8080", "/api/v2?q=/api/v1");
    expect(table.explain(question, random)).toEqual({
      route: "api",
      service: "api",
      backend: "10.0.0.1:80",
      status: 0,
      steps: [
        'looking for a route for host "app.example.com", path "/api/v2"',
        'app.example.com/api (route "api") wins',
        'app.example.com (route "app") loses: /api is the longer prefix',
        'app.example.com/api/v1 (route "v1") does not match: the path is not under /api/v1',
        '*.example.com (route "wild") loses: app.example.com/api (route "api") has the more specific domain',
        '* (route "any") loses: app.example.com/api (route "api") has the more specific domain',
        "service api picks among 2 backends by round-robin",
        "the route is sticky: a valid cookie's backend would come first",
        "backend 10.0.0.1:80, weight 100, 0 in flight",
      ],
    });
  });

  test("does not take a turn in the rotation", () => {
    const ask = (): string => table.explain(asking("app.example.com", "/api"), random).backend;
    expect([ask(), ask(), ask()]).toEqual([ask(), ask(), ask()]);
    const picked = table.service("api")?.picker.pick(asked(random, [], 0))?.address;
    expect(picked).toBe("10.0.0.1:80");
  });

  test("says that no route matches", () => {
    const lonely = tableOf(route("a", "a.com/x"));
    expect(lonely.explain(asking("a.com", "/y"), random)).toEqual({
      route: "",
      service: "",
      backend: "",
      status: 404,
      steps: [
        'looking for a route for host "a.com", path "/y"',
        'a.com/x (route "a") does not match: the path is not under /x',
        "no route matches: 404 no-route",
      ],
    });
  });

  test("says that a service has no backend", () => {
    const {
      route: name,
      backend: address,
      steps,
    } = table.explain(asking("lonely.com", "/"), random);
    expect([name, address]).toEqual(["lonely", ""]);
    expect(steps.at(-1)).toBe("service nobody has no backend: 503 no-backend");
  });

  test("explains a TCP port, with what is known of the backend", () => {
    expect(table.explain({ kind: "tcp", port: 5432 }, random)).toEqual({
      route: "db",
      service: "postgres",
      backend: "[::1]:5432",
      status: 0,
      steps: [
        'tcp:5432 (route "db") wins: it has the port',
        "service postgres picks among 1 backend by least-loaded",
        "backend [::1]:5432, weight 100, 2 in flight, last failure: connection refused",
      ],
    });
    expect(table.explain({ kind: "tcp", port: 1 }, random).steps).toEqual([
      "no route has TCP port 1: nothing listens there",
    ]);
  });

  test("stays short under a domain of a thousand paths, and still names the winner", () => {
    const many = tableOf(
      ...Array.from({ length: 1000 }, (_, i) => route(`r${i}`, `a.com/path-${i}`)),
    );
    const { route: name, steps } = many.explain(asking("a.com", "/path-999/x"), random);
    expect(name).toBe("r999");
    expect(steps).toHaveLength(1 + 1 + 20 + 1 + 1);
    expect(steps).toContain("979 more routes of a.com do not match the path");
  });

  test("says which conditions fail, and by which rule the others lose", () => {
    const choosy = tableOf(
      route("exact-post", "a.com=/p [POST]"),
      route("exact", "a.com=/p"),
      route("other", "a.com=/q"),
      route("get", "a.com/p [GET|HEAD]"),
      route("two", "a.com/p [header a header b]"),
      route("one", "a.com/p [header a]"),
      route("late", "a.com/p [header b]", "web", false, 2),
      route("pair", "a.com/p [header !c]"),
      route("query", "a.com/p [query v]"),
      route("plain", "a.com/p"),
      route("root", "a.com"),
      route(
        "wrong",
        "a.com/p [PUT|PATCH header a=1 header b=2* header c header !d query v=7 query w]",
      ),
    );
    const ask = (path: string, headers: Record<string, string>): readonly string[] =>
      choosy.explain(asking("a.com", path, { headers }), random).steps.slice(1, -1);
    const wrong =
      'a.com/p [PATCH|PUT header a=1 header b=2* header c header !d query v=7 query w] (route "wrong") does not match: the method is GET, not PATCH or PUT, and header a is not "1", and header b does not begin with "2", and there is no header c, and there is a header d, and query parameter v is not "7", and there is no query parameter w';
    const [exact, other] = ['a.com=/p (route "exact")', 'a.com=/q (route "other")'];
    const [post, get] = [
      'a.com=/p [POST] (route "exact-post") does not match: the method is GET, not POST',
      'a.com/p [GET|HEAD] (route "get")',
    ];
    const below = [
      'a.com/p [header a header b] (route "two")',
      'a.com/p [header a] (route "one")',
      'a.com/p [header !c] (route "pair")',
      'a.com/p [header b] (route "late")',
      'a.com/p [query v] (route "query")',
      'a.com/p (route "plain")',
    ];
    const root = 'a.com (route "root")';
    expect(ask("/p?v=1", { a: "", B: "x", d: "" })).toEqual([
      post,
      `${exact} wins`,
      wrong,
      ...[get, ...below, root].map((shown) => `${shown} loses: /p is the exact path`),
      `${other} does not match: the path is not /q`,
    ]);
    expect(ask("/p/?v=1", { a: "", B: "x", d: "" })).toEqual([
      wrong,
      `${get} wins`,
      ...below.map((shown) => `${shown} loses: route "get" names methods`),
      `${root} loses: /p is the longer prefix`,
      'a.com=/p [POST] (route "exact-post") does not match: the path is not /p',
      `${exact} does not match: the path is not /p`,
      `${other} does not match: the path is not /q`,
    ]);
  });

  const rules: readonly [string, string, string, number?][] = [
    ["[GET]", "[header a header b query v]", 'route "r0" names methods'],
    ["[header a header b]", "[header a query v query w]", 'route "r0" asks for more headers'],
    [
      "[header a query v query w]",
      "[header b query v]",
      'route "r0" asks for more query parameters',
    ],
    ["[header a]", "[header b]", 'route "r0" has had its match longer', 2],
    ["[header a]", "[header b]", 'route "r0" has the smaller name'],
  ];
  test.for(rules)("says why %s comes before %s", ([first, second, why, matchRevision]) => {
    const both = tableOf(
      route("r1", `a.com ${second}`, "web", false, matchRevision),
      route("r0", `a.com ${first}`),
    );
    const question = asking("a.com", "/?v&w", { headers: { a: "", b: "" } });
    expect(both.explain(question, random).steps.slice(1, 3)).toEqual([
      `a.com ${first} (route "r0") wins`,
      `a.com ${second} (route "r1") loses: ${why}`,
    ]);
  });

  test("stays short at a place of a thousand conditions, and still names the winner", () => {
    const many = tableOf(
      ...Array.from({ length: 500 }, (_, i) => route(`r${i}`, `a.com [header x=${i}]`)),
      ...Array.from({ length: 500 }, (_, i) => route(`s${i}`, `a.com [query q${i}]`)),
    );
    const query = Array.from({ length: 100 }, (_, i) => `q${i}`).join("&");
    const { route: name, steps } = many.explain(asking("a.com", `/?${query}`), random);
    expect(name).toBe("s0");
    expect(steps).toHaveLength(1 + 1 + 20 + 1 + 20 + 1 + 1);
    expect(steps).toContain("79 more routes of a.com lose");
    expect(steps).toContain("880 more routes of a.com ask for something else");
  });
});
