// Goal: a redirect leads where its words say, never in a circle, and a prefix is replaced without a slash too many.
// Method: tables of wishes, requests and URLs.

import { describe, expect, test } from "vitest";
import { parseDomain, parseExactPath, parsePathPrefix } from "../../src/model/names.ts";
import type { HttpMatch } from "../../src/model/route.ts";
import type { Redirect } from "../../src/model/route-options.ts";
import {
  type AskedUrl,
  redirectTarget,
  replacedPrefix,
} from "../../src/routing/redirect-target.ts";

const match = (path: string): Pick<HttpMatch, "pathPrefix"> => ({
  pathPrefix: parsePathPrefix(path),
});
const exact = (path: string): Pick<HttpMatch, "pathPrefix" | "exactPath"> => ({
  ...match("/"),
  exactPath: parseExactPath(path),
});

const host = parseDomain("b.com");
const https: Partial<Redirect> = { scheme: "https" };
const below: Partial<Redirect> = { pathPrefix: parsePathPrefix("/new") };

/** "http://a.com:8080/x?q" taken apart. */
function asked(url: string): AskedUrl {
  const parts = /^(https?):\/\/(\[[^\]]*\]|[^:/?*]*)(?::(\d+))?([^?]*)(.*)$/.exec(url)!;
  return {
    scheme: parts[1] === "https" ? "https" : "http",
    host: parts[2]!,
    port: parts[3] === undefined ? undefined : Number(parts[3]),
    path: parts[4]!,
    query: parts[5]!,
  };
}

const leads: readonly [string, Partial<Redirect>, string, string, string | undefined][] = [
  ["another scheme", https, "/", "http://a.com/x", "https://a.com/x"],
  ["a scheme that it has", https, "/", "https://a.com/x", undefined],
  ["a scheme that it has, its port said", https, "/", "https://a.com:443/x", undefined],
  ["a scheme, away from the port", https, "/", "http://a.com:8080/x", "https://a.com/x"],
  ["a scheme, from the other's port", https, "/", "http://a.com:443/x", "https://a.com/x"],
  ["the query stays", https, "/", "http://a.com/x?a=/b?c", "https://a.com/x?a=/b?c"],
  ["an empty query stays", https, "/", "http://a.com/x?", "https://a.com/x?"],
  ["another host", { host }, "/", "http://a.com/x", "http://b.com/x"],
  ["another host, without the port", { host }, "/", "http://a.com:81/x", "http://b.com/x"],
  ["the host that it has", { host }, "/", "http://B.Com./x?q", undefined],
  ["the host that it has, at its port", { host }, "/", "http://b.com:8080/x", undefined],
  ["a port", { port: 8443 }, "/", "http://a.com/x", "http://a.com:8443/x"],
  ["a port that it has", { port: 8443 }, "/", "http://a.com:8443/x", undefined],
  ["the usual port", { port: 80 }, "/", "http://a.com:8080/x", "http://a.com/x"],
  ["the usual port that it has", { port: 80 }, "/", "http://a.com/x", undefined],
  ["the usual port that it says", { port: 80 }, "/", "http://a.com:80/x", undefined],
  ["scheme and port", { ...https, port: 8443 }, "/", "http://a.com:8080/x", "https://a.com:8443/x"],
  ["scheme and usual port", { ...https, port: 443 }, "/", "http://a.com/", "https://a.com/"],
  ["the other's usual port", { port: 443 }, "/", "http://a.com/", "http://a.com:443/"],
  [
    "a whole path",
    { path: parseExactPath("/moved/") },
    "/",
    "http://a.com:81/x?q",
    "http://a.com:81/moved/?q",
  ],
  ["a path that it has", { path: parseExactPath("/m") }, "/", "http://a.com/m?q", undefined],
  [
    "another prefix",
    { pathPrefix: parsePathPrefix("/new") },
    "/old",
    "http://a.com/old/x?q",
    "http://a.com/new/x?q",
  ],
  ["a prefix below the route's own", below, "/", "http://a.com/x?q", "http://a.com/new/x?q"],
  ["a prefix below the route's own, there", below, "/", "http://a.com/new/x?q", undefined],
  ["a prefix below the route's own, it", below, "/", "http://a.com/new", undefined],
  [
    "a prefix below the route's own, not quite",
    below,
    "/",
    "http://a.com/newer",
    "http://a.com/new/newer",
  ],
  [
    "a prefix below a path",
    { pathPrefix: parsePathPrefix("/a/b") },
    "/a",
    "http://a.com/a/b/x",
    undefined,
  ],
  [
    "a prefix below the route's own and a scheme",
    { ...below, ...https },
    "/",
    "http://a.com/new/x",
    "https://a.com/new/x",
  ],
  [
    "a prefix below the route's own, on another host",
    { ...below, host },
    "/",
    "http://a.com/new/x",
    "http://b.com/new/new/x",
  ],
  [
    "a prefix beside the route's own",
    { pathPrefix: parsePathPrefix("/new") },
    "/newer",
    "http://a.com/newer/new/x",
    "http://a.com/new/new/x",
  ],
  [
    "a prefix above the route's own",
    { pathPrefix: parsePathPrefix("/a") },
    "/a/b",
    "http://a.com/a/b/x",
    "http://a.com/a/x",
  ],
  ["an address", https, "/", "http://[::1]:8080/x", "https://[::1]/x"],
  ["the whole server", https, "/", "http://a.com*", "https://a.com"],
  ["no host to name", https, "/", "http:///x", ""],
  ["no host but its own", { host }, "/", "http:///x", "http://b.com/x"],
  ["a path that looks like a host", { host }, "/", "http://a.com//c.com", "http://b.com//c.com"],
];

describe("redirectTarget", () => {
  test.for(leads)("%s", ([, redirect, prefix, url, expected]) => {
    const whole = { ...redirect, status: 307 };
    expect(redirectTarget(whole, match(prefix), asked(url))).toBe(expected);
  });

  test("puts the prefix in place of an exact path", () => {
    const redirect = { pathPrefix: parsePathPrefix("/new"), status: 308 };
    const target = redirectTarget(redirect, exact("/old/"), asked("http://a.com/old/?q"));
    expect(target).toBe("http://a.com/new?q");
  });
});

const replacements: readonly [string, string, string, string][] = [
  ["/old", "/new", "/old", "/new"],
  ["/old", "/new", "/old/", "/new/"],
  ["/old", "/new", "/old/x", "/new/x"],
  ["/old", "/new", "/old//x", "/new//x"],
  ["/old", "/", "/old", "/"],
  ["/old", "/", "/old/", "/"],
  ["/old", "/", "/old/x", "/x"],
  ["/", "/new", "/", "/new/"],
  ["/", "/new", "/x", "/new/x"],
  ["/", "/", "/x", "/x"],
  ["/", "/new", "*", "*"],
  ["/a/b", "/c/d/e", "/a/b/a/b", "/c/d/e/a/b"],
];

describe("replacedPrefix", () => {
  test.for(replacements)("of %s, %s makes %s %s", ([prefix, instead, path, expected]) => {
    expect(replacedPrefix(parsePathPrefix(instead), match(prefix), path)).toBe(expected);
  });
});
