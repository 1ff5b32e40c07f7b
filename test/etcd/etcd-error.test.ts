// Goal: what etcd and grpc-js say becomes the code that a caller acts on, and words for an operator. Method: texts
// as they are written by etcd 3.4 and grpc-js 1.14, of the kind that is hard to cause; the rest is in client-*.test.ts.

import { describe, expect, test } from "vitest";
import { type CallFailure, etcdError, GrpcCode, isNotApplied } from "../../src/etcd/etcd-error.ts";
import { etcdCauseCharactersMax } from "../../src/limits.ts";

const place = { endpoint: "http://h:2379", call: "range of /a/…", user: "bob", deadlineMs: 2_996 };
const of = (code: number, details: string): ReturnType<typeof etcdError> =>
  etcdError({ code, details }, place);

const verdicts: readonly (readonly [CallFailure["code"], string, string, boolean, RegExp])[] = [
  [14, "etcdserver: leader changed", "ETCD_UNREACHABLE", false, /has no leader/],
  [14, "etcdserver: no leader", "ETCD_UNREACHABLE", false, /has no leader/],
  [14, "etcdserver: server stopped", "ETCD_UNREACHABLE", false, /broke off the range of \/a\/…/],
  [14, "etcdserver: request timed out", "ETCD_TIMEOUT", false, /could not agree/],
  [
    14,
    "etcdserver: request timed out, possibly due to connection lost",
    "ETCD_TIMEOUT",
    false,
    /could not agree/,
  ],
  [8, "etcdserver: too many requests", "ETCD_UNREACHABLE", true, /too slow for its load/],
  [14, "Connection dropped", "ETCD_UNREACHABLE", false, /broke off .*\(Connection dropped\)$/],
  [14, "read ETIMEDOUT", "ETCD_UNREACHABLE", false, /broke off .*\(read ETIMEDOUT\)$/],
  [
    13,
    "Received RST_STREAM with code 2 triggered by internal client error: read EHOSTUNREACH",
    "ETCD_UNREACHABLE",
    false,
    /broke off/,
  ],
  [14, "Received HTTP status code 504", "ETCD_UNREACHABLE", false, /behind a proxy that failed/],
  [13, "Received RST_STREAM with code 2", "ETCD_UNREACHABLE", false, /broke off/],
  [4, "Deadline exceeded after 3.001s,Waiting for LB pick", "ETCD_TIMEOUT", false, /within 3 s/],
  [
    8,
    "Received message larger than max (70000000 vs 67108864)",
    "ETCD_TOO_LARGE",
    false,
    /fewer keys/,
  ],
  [8, "something else", "ETCD_TOO_LARGE", false, /refuses/],
  [16, "", "ETCD_AUTH", true, /refuses the range/],
  [7, "Received HTTP status code 403", "ETCD_VERSION", true, /not as an etcd/],
  [15, "etcdserver: corrupt cluster", "ETCD_REFUSED", true, /corrupt cluster/],
  [
    14,
    "No connection established. Last error: Error: connect EHOSTUNREACH 10.0.0.9:2379. Resolution note: ",
    "ETCD_UNREACHABLE",
    true,
    /\(connect EHOSTUNREACH 10\.0\.0\.9:2379\): check the address/,
  ],
  [
    14,
    "No connection established. Last error: Error: certificate has expired. Resolution note: ",
    "ETCD_UNREACHABLE",
    true,
    /not trusted \(certificate has expired\)/,
  ],
];

test.for(verdicts)("%i %s is %s", ([code, details, reason, isCertain, says]) => {
  const error = of(code, details);
  expect(error.details.reason).toBe(reason);
  expect(isNotApplied(error)).toBe(isCertain);
  expect(error.message).toMatch(says);
  expect(error.message).toMatch(/^etcd http:\/\/h:2379 /);
});

describe("what a foreign program says", () => {
  test("is repeated up to a length and on one line", () => {
    const { message } = of(GrpcCode.unknown, `a\r\n\u0000b${"x".repeat(10_000)}`);
    expect(message).toContain("(a b");
    expect(message.length).toBeLessThan(etcdCauseCharactersMax + 100);
    // oxlint-disable-next-line no-control-regex -- control characters are what this is about
    expect(message).not.toMatch(/[\u0000-\u001f]/);
  });
});
