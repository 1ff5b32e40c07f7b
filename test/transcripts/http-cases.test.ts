// Goal: every case, collected and further ones, has its expected outcome, as far as the parser decides it.
// Method: each case is read whole, byte by byte and in thirds; what would be forwarded is checked
// by a reading of RFC 9112 that shares no code with the parser. What only a session or a pool can
// decide (late answers, interim floods, reuse) is left to support/http-case-runner.ts.

import { describe, expect, test } from "vitest";
import { Framing } from "../../src/protocol/framing.ts";
import { type HttpCase, httpCases, type UpstreamView } from "./http-cases.ts";
import {
  byteByByte,
  type Cuts,
  methodOf,
  readRequests,
  readResponses,
  type Understood,
  whole,
} from "./parser-driver.ts";

const waysToArrive: readonly (readonly [string, (text: string) => Cuts])[] = [
  ["whole", whole],
  ["byte by byte", byteByByte],
  [
    "in thirds",
    (text) => [Math.floor(text.length / 3), Math.floor((text.length * 2) / 3), text.length],
  ],
];

/** Fields that the session writes itself. */
const sessionFields = new Set([
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-request-id",
  "via",
  "max-forwards",
  "connection",
  "upgrade",
  "content-length",
]);

/** What the parser made of the stream, in the words of the cases. */
function requestOutcomes(understood: readonly Understood[]): Set<string> {
  const first = understood[0];
  if (first === undefined) return new Set(["wait-body", "nothing"]);
  if (first.kind === "refused") return new Set([`reject-${first.status}`]);
  if (first.bodyState === "broken") return new Set(["abort-body"]);
  if (first.bodyState === "open") return new Set(["wait-body", "interim-100-or-wait"]);
  const outcomes = new Set(["forward-normalised"]);
  if (!first.keepAlive) outcomes.add("forward-then-close");
  if (first.upgrade !== undefined) outcomes.add("forward-upgrade").add("hold-then-decide");
  return outcomes;
}

function responseOutcomes(httpCase: HttpCase, understood: readonly Understood[]): Set<string> {
  const last = understood.at(-1);
  if (last === undefined || last.kind === "refused") return new Set(["reject-502"]);
  if (last.bodyState === "broken") return new Set(["truncate"]);
  if (last.bodyState === "open" && last.framing !== Framing.UntilClose) {
    return new Set([httpCase.after === "close" ? "truncate" : "waiting"]);
  }
  return new Set(["relay", ...(last.keepAlive ? [] : ["relay-drop-upstream"])]);
}

function fieldsOf(understood: Understood): Map<string, string> {
  return new Map(
    understood.lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
}

function checkUpstream(view: UpstreamView, understood: readonly Understood[]): void {
  const first = understood[0];
  if (first === undefined || first.kind !== "request") return;
  const fields = fieldsOf(first);
  if (view.line !== undefined) expect(first.line).toBe(view.line);
  for (const [name, value] of Object.entries(view.fields ?? {})) {
    if (!sessionFields.has(name)) expect(fields.get(name)).toBe(value);
  }
  for (const name of view.absent ?? []) {
    // The session knows whom it trusts with it.
    if (name !== "forwarded") expect(fields.has(name), name).toBe(false);
  }
  for (const name of Object.keys(view.lacks ?? {})) expect(fields.has(name), name).toBe(false);
  if (view.body !== undefined) expect(first.body).toBe(view.body);
  if (view.bodyLength !== undefined) expect(first.body.length).toBe(view.bodyLength);
  if (view.requests !== undefined) {
    expect(understood.filter(({ kind }) => kind === "request").length).toBe(view.requests);
  }
}

const strictLine = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n$/;

function checkForwarded(understood: readonly Understood[]): void {
  for (const message of understood) {
    if (message.kind === "refused") continue;
    for (const line of message.lines) expect(line).toMatch(strictLine);
    const names = message.lines.map((line) => line.slice(0, line.indexOf(":")).toLowerCase());
    expect(names).not.toContain("content-length");
    expect(names).not.toContain("transfer-encoding");
    expect(names).not.toContain("connection");
    if (message.kind === "request") {
      expect(message.line).toMatch(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ (\/[\x21-\x7e]*|\*) HTTP\/1\.1$/);
      expect(names.filter((name) => name === "host").length).toBeLessThanOrEqual(1);
    }
  }
}

test("no two cases have the same name", () => {
  const names = httpCases.map(({ id }) => id);
  expect(names.filter((id, index) => names.indexOf(id) !== index)).toEqual([]);
});

const requests = httpCases.filter(({ dir }) => dir === "c2p");
const responses = httpCases.filter(({ dir }) => dir === "u2p");

describe.for(waysToArrive)("a request that arrives %s", ([, cut]) => {
  test.for(requests)("$id: $note", (httpCase) => {
    const understood = readRequests(httpCase.bytes, cut(httpCase.bytes));
    expect([...requestOutcomes(understood)]).toContain(httpCase.alone ?? httpCase.expect);
    checkForwarded(understood);
    if (httpCase.responses !== undefined) expect(understood.length).toBe(httpCase.responses);
    if (httpCase.upstream !== undefined) checkUpstream(httpCase.upstream, understood);
  });
});

/** The case cannot be decided by one answer's octets alone, or another choice was made; and why. */
const decidedElsewhere: Readonly<Record<string, { parser: string; why: string }>> = {
  "US-19": { parser: "reject-502", why: "bare LF is refused in answers too; the cases allow it" },
  "US-35": { parser: "relay", why: "the session sees octets behind the answer" },
  "US-36": { parser: "relay", why: "the pool sees octets on an idle connection" },
  "US-43": { parser: "relay", why: "the session counts interim answers" },
  "US-45": { parser: "relay", why: "the session knows that nobody asked for an upgrade" },
  "US-51": { parser: "relay", why: "the session knows that the request was not finished" },
};

describe.for(waysToArrive)("an answer that arrives %s", ([, cut]) => {
  test.for(responses)("$id: $note", (httpCase) => {
    const { bytes } = httpCase;
    const understood = readResponses(bytes, cut(bytes), methodOf(httpCase));
    const wanted = httpCase.alone ?? decidedElsewhere[httpCase.id]?.parser ?? httpCase.expect;
    expect([...responseOutcomes(httpCase, understood)]).toContain(wanted);
    checkForwarded(understood);
  });
});
