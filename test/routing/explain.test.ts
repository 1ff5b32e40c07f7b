// Goal: an operator reads why a request goes where it goes.
// Method: whole explanations, word for word. That explain and match agree is in the property test.

import { describe, expect, test } from "vitest";
import { Policy } from "../../src/model/service.ts";
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
  table.service("postgres")!.backends[0]!.lastFailure = "connection refused";
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
    const picked = table.service("api")?.picker.pick(random, [], 0)?.address;
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
});
