// Goal: whatever a node is told to add or change (Via, Forwarded, rewritten paths and hosts, conditions), what goes
// upstream is well-formed and means what the client meant; and no cut of either side's octets changes what comes of
// a request or an answer, nor the reason that the client is told.
// Method: whole sessions on recorded streams; requests made from a description, and octets of the cases spliced
// together; judged by a strict reader that shares no code.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Change } from "../../src/model/change.ts";
import { route } from "../routing/changes.ts";
import { type Heard, talk } from "../support/session-in-memory.ts";
import { type StrictMessage, valuesOf } from "../support/strict-http.ts";
import { backendOf } from "../support/table-fixtures.ts";
import { httpCases } from "../transcripts/http-cases.ts";

const settings = { via: "crosspoint", forwarded: true };

/** `base` with options that its text cannot say. */
function rewriting(base: Change, rewrite: object): Change {
  if (base.kind !== "route-put") throw new Error("not a route");
  return { ...base, route: { ...base.route, options: { rewrite } } };
}

const changes: readonly Change[] = [
  rewriting(route("deep", "a.test/old", "deep"), { pathPrefix: "/new/place" }),
  rewriting(route("flat", "a.test/gone", "flat"), { pathPrefix: "/" }),
  rewriting(route("other", "a.test/host", "other"), { host: "b.test" }),
  route("canary", "a.test [header x-canary=1]", "canary"),
  route("post", "a.test [POST query v=2]", "post"),
  ...["deep", "flat", "other", "canary", "post"].map((service, index): Change => {
    return { kind: "backend-put", backend: backendOf(service, `10.0.1.${index + 1}:80`) };
  }),
];

interface Described {
  readonly method: string;
  readonly prefix: string;
  readonly rest: string;
  readonly query: string;
  readonly canary: string | undefined;
  readonly absolute: boolean;
  readonly minor: 0 | 1;
  readonly body: string | undefined;
  readonly forwarded: boolean;
}

const described: fc.Arbitrary<Described> = fc.record({
  method: fc.constantFrom("GET", "POST", "PUT", "FROB"),
  prefix: fc.constantFrom("/old", "/gone", "/host", "/olden", ""),
  rest: fc.stringMatching(/^(\/[-a-zA-Z0-9._~%/]{0,12})?$/),
  query: fc.constantFrom("", "?", "?v=2", "?v=1&v=2", "?w=/old", "?v=2#".slice(0, 4)),
  canary: fc.constantFrom(undefined, "1", "2"),
  absolute: fc.boolean(),
  minor: fc.constantFrom(0, 1),
  body: fc.option(fc.string({ maxLength: 30, unit: "binary-ascii" }), { nil: undefined }),
  forwarded: fc.boolean(),
});

const pathOf = ({ prefix, rest }: Described): string => prefix + rest || "/";

function written(it: Described): string {
  const chunked = it.body !== undefined && it.minor === 1 && it.body.length % 2 === 1;
  const coded = chunked
    ? `${it.body.length.toString(16)};e\r\n${it.body}\r\n0\r\nX-Canary: 1\r\n\r\n`
    : (it.body ?? "");
  const framing = chunked ? "Transfer-Encoding: chunked" : `Content-Length: ${coded.length}`;
  const lines = [
    `${it.method} ${it.absolute ? "http://a.test" : ""}${pathOf(it)}${it.query} HTTP/1.${it.minor}`,
    "Host: a.test",
    ...(it.forwarded ? ["Forwarded: for=192.0.2.99;host=b.test", "Via: 1.0 fred"] : []),
    ...(it.canary === undefined ? [] : [`x-cAnary: ${it.canary}`]),
    ...(it.body === undefined ? [] : [framing]),
  ];
  return `${lines.join("\r\n")}\r\n\r\n${coded}`;
}

/** Who must get it, as what, by the words of docs/API.md alone. */
function meant(it: Described): {
  readonly to: string;
  readonly line: string;
  readonly host: string;
} {
  const below = (prefix: string): boolean =>
    it.prefix === prefix && (it.rest === "" || it.rest.startsWith("/"));
  const path = pathOf(it);
  const line = (target: string): string => `${it.method} ${target}${it.query} HTTP/1.1`;
  if (below("/old"))
    return { to: "10.0.1.1:80", line: line(`/new/place${it.rest}`), host: "a.test" };
  if (below("/gone")) return { to: "10.0.1.2:80", line: line(it.rest || "/"), host: "a.test" };
  if (below("/host")) return { to: "10.0.1.3:80", line: line(path), host: "b.test" };
  const has2 = /[?&]v=2(?:&|$)/.test(it.query);
  if (it.method === "POST" && has2) return { to: "10.0.1.5:80", line: line(path), host: "a.test" };
  if (it.canary === "1") return { to: "10.0.1.4:80", line: line(path), host: "a.test" };
  return { to: "10.0.0.1:80", line: line(path), host: "a.test" };
}

describe("with Via, Forwarded, rewriting routes and conditions", () => {
  test("a request arrives where it must, well-formed, as what it must", () => {
    fc.assert(
      fc.property(described, (it) => {
        const { requests, violations, answers } = talk({ text: written(it), settings, changes });
        expect(violations).toEqual([]);
        expect(requests.length).toBe(1);
        const [sent] = requests;
        expect({ to: sent!.to, line: sent!.startLine, host: valuesOf(sent!, "host")[0] }).toEqual(
          meant(it),
        );
        expect(sent!.body).toBe(it.body ?? "");
        expect(sent!.trailers).toBe(0);
        expect(valuesOf(sent!, "x-forwarded-host")).toEqual(["a.test"]);
        expect(valuesOf(sent!, "forwarded")).toEqual(["for=192.0.2.7;proto=http;host=a.test"]);
        const before = it.forwarded ? ["1.0 fred"] : [];
        expect(valuesOf(sent!, "via")).toEqual([...before, `1.${it.minor} crosspoint`]);
        expect(answers.map(({ startLine, body }) => [startLine, body])).toEqual([
          ["HTTP/1.1 200 OK", "ok"],
        ]);
        expect(valuesOf(answers[0]!, "via")).toEqual(["1.1 crosspoint"]);
      }),
      { numRuns: 500 },
    );
  });

  test("octets whose meaning nobody knows become well-formed requests or none, each with one answer", () => {
    fc.assert(
      fc.property(spliced("c2p"), (text) => {
        const { requests, violations, answers } = talk({ text, settings, changes });
        expect(violations).toEqual([]);
        const finals = answers.filter(({ startLine }) => !startLine.startsWith("HTTP/1.1 1"));
        // One each; and at most one more, for what could not be read.
        expect(finals.length - requests.length).toBeLessThanOrEqual(1);
        expect(finals.length).toBeGreaterThanOrEqual(requests.length);
      }),
      { numRuns: 1000 },
    );
  });
});

/** Pieces of the cases of one direction, as an attacker would mix them. */
function spliced(dir: "c2p" | "u2p"): fc.Arbitrary<string> {
  const texts = httpCases.filter((one) => one.dir === dir).map(({ bytes }) => bytes);
  const part = fc.tuple(
    fc.nat(texts.length - 1),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.nat(60),
  );
  return fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) =>
    parts
      .map(([index, from, length], place) => {
        const bytes = texts[index]!.slice(0, 3000);
        const start = Math.floor(from * bytes.length);
        return place === 0 ? bytes.slice(0, start + 1) : bytes.slice(start, start + length + 1);
      })
      .join(""),
  );
}

const places = fc.array(fc.nat(3000), { minLength: 1, maxLength: 12 });
const cutAt = (text: string, wanted: readonly number[]): number[] => {
  const ends = wanted.filter((place) => place > 0 && place < text.length);
  return [...new Set([...ends, text.length])].toSorted((a, b) => a - b);
};

/** All of it but what differs from request to request, and from hour to hour. */
function comparable({ requests, answers, violations, kept }: Heard): unknown {
  const own = new Set(["x-request-id", "date"]);
  // How the chunks lie is ours: they go on as they come.
  const meaning = ({ fields, ...rest }: StrictMessage): unknown => ({
    ...rest,
    length: 0,
    fields: fields.filter(([name]) => !own.has(name)),
  });
  return { requests: requests.map(meaning), answers: answers.map(meaning), violations, kept };
}

describe("no cut changes", () => {
  test("what comes of a client's octets, nor the reason that it is told", () => {
    let refused = 0;
    fc.assert(
      fc.property(spliced("c2p"), places, (text, wanted) => {
        const whole = talk({ text, settings, changes });
        const cut = talk({ text, cuts: cutAt(text, wanted), settings, changes });
        expect(comparable(cut)).toEqual(comparable(whole));
        if (whole.answers.some((one) => valuesOf(one, "x-crosspoint-reason").length > 0)) refused++;
      }),
      { numRuns: 1000 },
    );
    expect(refused).toBeGreaterThan(50);
  });

  test.for(["GET", "HEAD"])("what comes of a backend's octets, to %s", (method) => {
    let relayed = 0;
    fc.assert(
      fc.property(spliced("u2p"), places, fc.boolean(), (answer, wanted, answerEnds) => {
        const text = `${method} / HTTP/1.1\r\nHost: a.test\r\n\r\n`;
        const about = { text, answer, answerEnds, settings, waits: true };
        const whole = talk(about);
        const cut = talk({ ...about, answerCuts: cutAt(answer, wanted) });
        expect(comparable(cut)).toEqual(comparable(whole));
        expect(whole.violations).toEqual([]);
        if (whole.answers.some(({ complete }) => complete)) relayed++;
      }),
      { numRuns: 400 },
    );
    expect(relayed).toBeGreaterThan(20);
  });
});
