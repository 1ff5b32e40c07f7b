// Goal: what is typed behind `route add` is the route that a node gets, and what makes no sense is refused with
// what to write instead.
// Method: tables of words; files on a real disk. What only a node can judge is in route-add.test.ts.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Command, type Flags, flagsOf } from "../../src/cli/command.ts";
import { routeAdd } from "../../src/cli/commands/route.ts";
import { parseRedirectWord, redirectText } from "../../src/cli/redirect-words.ts";
import { routeOfWords } from "../../src/cli/route-words.ts";

/** "--flag value" words as the command line hands them over. */
function flagsOfWords(
  words: readonly string[],
  { flags }: Pick<Command, "flags"> = routeAdd,
): Flags {
  const given = new Map<string, string | string[] | true>();
  for (let i = 0; i < words.length; i++) {
    const flag = flags.find(({ name }) => `--${name}` === words[i])!;
    expect(flag, words[i]).toBeDefined();
    if (flag.value === undefined) given.set(flag.name, true);
    else if (flag.repeatable === true) {
      const texts = given.get(flag.name);
      given.set(flag.name, [...(Array.isArray(texts) ? texts : []), words[++i]!]);
    } else given.set(flag.name, words[++i]!);
  }
  return Object.fromEntries(given);
}

const asked = (words: readonly string[], match = "a.example.com/x", service?: string) =>
  routeOfWords(match, service, flagsOfWords(words));

const folder = mkdtempSync(join(tmpdir(), "crosspoint-route-words-"));
function fileWith(name: string, body: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, body);
  return path;
}
const html = fileWith("sorry.html", "<p>sorry</p>");
const plain = fileWith("sorry.txt", "sorry");
const nameless = fileWith("sorry", "<p>sorry");

describe("the match", () => {
  const present = (name: string, value: boolean) => ({ name, value: { $case: "present", value } });
  const exact = (name: string, value: string) => ({ name, value: { $case: "exact", value } });
  const prefix = (name: string, value: string) => ({ name, value: { $case: "prefix", value } });
  test.for([
    ["a.example.com/x", [], { pathPrefix: "/x", path: "" }],
    ["a.example.com/x", ["--exact"], { pathPrefix: "", path: "/x" }],
    ["a.example.com", ["--exact"], { pathPrefix: "", path: "/" }],
    ["a.example.com=/x", [], { domain: "a.example.com", pathPrefix: "", path: "/x" }],
    ["a.b", ["--method", "GET", "--method", "HEAD"], { methods: ["GET", "HEAD"] }],
    ["a.b", ["--method", "GET,HEAD"], { methods: ["GET", "HEAD"] }],
    ["a.b", ["--header", "X-A=1"], { headers: [exact("X-A", "1")] }],
    ["a.b", ["--header", "X-A="], { headers: [exact("X-A", "")] }],
    ["a.b", ["--header", "X-A=b=c:d"], { headers: [exact("X-A", "b=c:d")] }],
    [
      "a.b",
      ["--header", "Authorization=Bearer *"],
      { headers: [prefix("Authorization", "Bearer ")] },
    ],
    ["a.b", ["--header", "Accept=*/\\*"], { headers: [exact("Accept", "*/*")] }],
    [
      "a.b",
      ["--header", "X-A", "--header", "!X-B"],
      { headers: [present("X-A", true), present("X-B", false)] },
    ],
    ["a.b", ["--query", "v=2", "--query", "!w"], { query: [exact("v", "2"), present("w", false)] }],
    ["a.b", ["--query", "filter[a]=x*"], { query: [prefix("filter[a]", "x")] }],
  ] as const)("%s %j", ([match, words, expected]) => {
    const route = asked(words, match, "web");
    expect(route.match).toMatchObject({ $case: "http", value: expected });
  });
});

describe("what becomes of a request", () => {
  test.for([
    [
      ["--split", "web=90", "--split", "next=10"],
      {
        service: "",
        split: [
          { service: "web", weight: 90 },
          { service: "next", weight: 10 },
        ],
      },
    ],
    [["--split", "web=0"], { split: [{ service: "web", weight: 0 }] }],
    [["--redirect", "https"], { redirect: { scheme: "https", host: "", path: "", status: 0 } }],
    [
      ["--redirect", "https://b.com/x", "--redirect-status", "308"],
      { redirect: { scheme: "https", host: "b.com", path: "/x", status: 308 } },
    ],
    [["--answer", "503"], { answer: { status: 503, body: "", headers: {} } }],
    [
      ["--answer", `503=${html}`],
      { answer: { status: 503, contentType: "text/html; charset=utf-8", body: "<p>sorry</p>" } },
    ],
    [
      ["--answer", `503=${plain}`],
      { answer: { contentType: "text/plain; charset=utf-8", body: "sorry" } },
    ],
    [["--answer", `503=${nameless}`], { answer: { contentType: "text/html; charset=utf-8" } }],
    [
      ["--answer", "200", "--answer-text", "ok", "--answer-header", "Retry-After: 60"],
      { answer: { status: 200, contentType: "", body: "ok", headers: { "Retry-After": "60" } } },
    ],
    [["--rewrite", "/"], { rewrite: { pathPrefix: "/", host: "" } }],
    [["--rewrite-host", "b.com"], { rewrite: { pathPrefix: "", host: "b.com" } }],
    [["--mirror", "next"], { mirror: { service: "next", percent: 100 } }],
    [["--mirror", "next=5%"], { mirror: { service: "next", percent: 5 } }],
    [
      ["--allow", "10.0.0.0/8", "--allow", "::1", "--deny", "10.1.0.0/16"],
      { access: { allow: ["10.0.0.0/8", "::1"], deny: ["10.1.0.0/16"] } },
    ],
    [
      ["--rate", "100/s"],
      { rateLimit: { requests: 100, per: { seconds: 1n, nanos: 0 }, burst: 0, key: 0 } },
    ],
    [
      ["--rate", "1000/m", "--rate-burst", "50", "--rate-by", "client"],
      { rateLimit: { requests: 1000, per: { seconds: 60n, nanos: 0 }, burst: 50, key: 1 } },
    ],
    [
      ["--rate", "5/1.5s"],
      { rateLimit: { requests: 5, per: { seconds: 1n, nanos: 500_000_000 } } },
    ],
    [
      ["--page", `503=${html}`, "--page", `404=${plain}`],
      {
        pages: [
          { status: 503, body: "<p>sorry</p>" },
          { status: 404, contentType: "text/plain; charset=utf-8" },
        ],
      },
    ],
    [
      [],
      { rewrite: undefined, mirror: undefined, access: undefined, rateLimit: undefined, pages: [] },
    ],
  ] as const)("%j", ([words, expected]) => {
    const hasTarget = words.some((word) => /^--(?:split|redirect|answer)$/.test(word));
    const route = asked(words, "a.example.com", hasTarget ? undefined : "web");
    expect(route).toMatchObject(expected);
  });
});

const places = [
  ["https", { scheme: "https" }],
  ["www.b.com", { host: "www.b.com" }],
  ["https://www.b.com", { scheme: "https", host: "www.b.com" }],
  ["https://www.b.com:8443", { scheme: "https", host: "www.b.com", port: 8443 }],
  [":8443", { port: 8443 }],
  ["www.b.com/x", { host: "www.b.com", path: "/x" }],
  ["https://www.b.com/", { scheme: "https", host: "www.b.com", path: "/" }],
  ["/moved", { path: "/moved" }],
  ["/new/*", { pathPrefix: "/new" }],
  ["/*", { pathPrefix: "/" }],
  ["https://b.com/new/*", { scheme: "https", host: "b.com", pathPrefix: "/new" }],
  ["https:///new/*", { scheme: "https", pathPrefix: "/new" }],
] as const;

test.for(places)("--redirect %s leads there, and is shown like that", ([word, parts]) => {
  const none = { scheme: "", host: "", port: 0, path: "", pathPrefix: "" };
  expect(parseRedirectWord(word)).toEqual({ ...none, ...parts });
  expect(redirectText(parseRedirectWord(word))).toBe(word);
});

describe("what is refused, and what to write instead", () => {
  const binary = fileWith("binary.html", new Uint8Array([0xff, 0xfe]));
  test.for([
    ["a.b", [], "SERVICE: is missing; name it, or say --split, --redirect or --answer"],
    ["a.b", ["--header", "X-A: 1"], '--header: "X-A: 1" is not a condition; write NAME=VALUE'],
    ["a.b", ["--header", "X-A:b=1"], "is not a condition; write NAME=VALUE"],
    ["a.b", ["--header", "=1"], "is not a condition"],
    ["a.b", ["--query", "!v=1"], '--query: "!v=1" asks for none of that name; write !NAME'],
    ["a.b", ["--query", "!"], "write !NAME"],
    ["tcp:5432", ["--method", "GET"], "--method: is for HTTP routes; tcp:5432 has connections"],
    ["tcp", ["--exact"], "--exact: is for HTTP routes"],
    ["a.b", ["--tries", "0"], '--tries: "0" is not a whole number from 1 on'],
    ["a.b", ["--tries", "4294967296"], '--tries: "4294967296" is too many'],
    ["a.b", ["--retry-on", "5xx"], '--retry-on: "5xx" is none of connect, reset, timeout, status'],
    ["a.b", ["--retry-on", "toString"], '"toString" is none of'],
    ["a.b", ["--retry-status", "5xx"], '--retry-status: "5xx" is not a status, such as 503'],
    ["a.b", ["--hedge-after", "100"], '--hedge-after: "100" is not a duration'],
    ["a.b", ["--request-timeout", "-1s"], '--request-timeout: "-1s" is not a duration'],
    ["a.b", ["--split", "web"], '--split: "web" is not SERVICE=WEIGHT, such as web=90'],
    ["a.b", ["--split", "web=90%"], "is not SERVICE=WEIGHT"],
    ["a.b", ["--redirect", ""], '--redirect: "" is not a place; write https,'],
    ["a.b", ["--redirect", "//b.com"], "is not a place"],
    ["a.b", ["--redirect", "https://b.com/?x"], "; the query that was asked for is kept"],
    ["a.b", ["--redirect", "b.com:http"], "is not a place"],
    ["a.b", ["--redirect", "b.com:65536"], "is not a place"],
    ["a.b", ["--redirect", "/new*"], 'a star stands behind a slash: "/new/*"'],
    [
      "a.b",
      ["--redirect", "https", "--redirect-status", "permanent"],
      '"permanent" is not a status, such as 308',
    ],
    [
      "a.b",
      ["--redirect-status", "308"],
      "--redirect-status: goes with --redirect, which is not there",
    ],
    [
      "a.b",
      ["--answer", "sorry.html"],
      '--answer: "sorry.html" does not begin with a status; write 503 or 503=sorry.html',
    ],
    ["a.b", ["--answer", `503=${folder}/none.html`], "--answer: cannot read the file: ENOENT"],
    ["a.b", ["--answer", `503=${binary}`], "is not UTF-8 text"],
    ["a.b", ["--answer", `503=${html}`, "--answer-text", "x"], "says already what is answered"],
    ["a.b", ["--answer-text", "x"], "--answer-text: goes with --answer"],
    ["a.b", ["--answer-header", "A: 1"], "--answer-header: goes with --answer"],
    [
      "a.b",
      ["--answer", "503", "--answer-header", "A=1"],
      '--answer-header: "A=1" is not NAME:VALUE',
    ],
    [
      "a.b",
      ["--answer", "503", "--answer-header", "A:1", "--answer-header", "A:2"],
      '"A" is given twice',
    ],
    ["a.b", ["--page", "503"], '--page: "503" names no file; write 503=sorry.html'],
    ["a.b", ["--page", "oops=x.html"], "--page: "],
    ["a.b", ["--rewrite", ""], "--rewrite: is empty"],
    ["a.b", ["--rewrite-host", ""], "--rewrite-host: is empty"],
    [
      "a.b",
      ["--mirror", "next=0"],
      '--mirror: "next=0" is not SERVICE or SERVICE=PERCENT, such as web-next=5',
    ],
    ["a.b", ["--mirror", "next=101"], "is not SERVICE or SERVICE=PERCENT"],
    ["a.b", ["--rate", "100"], '--rate: "100" is not a number and a time, such as 100/s'],
    ["a.b", ["--rate", "100r/s"], "such as 100/s"],
    ["a.b", ["--rate", "100/0"], '--rate: "100/0" has no time'],
    ["a.b", ["--rate", "100/d"], '--rate: "d" is not a duration'],
    [
      "a.b",
      ["--rate", "100/s", "--rate-burst", "0"],
      '--rate-burst: "0" is not a whole number from 1 on',
    ],
    ["a.b", ["--rate-burst", "5"], "--rate-burst: goes with --rate"],
    ["a.b", ["--rate-by", "client"], "--rate-by: goes with --rate"],
  ] as const)("%s %j", ([match, words, message]) => {
    const service = message.startsWith("SERVICE") ? undefined : "web";
    expect(() => asked(words, match, service)).toThrow(message);
  });
});

test("every flag of a table above is one of route add, and says what it is", () => {
  const names = flagsOf(routeAdd).map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { name, help } of flagsOf(routeAdd)) expect(help, name).not.toBe("");
});
