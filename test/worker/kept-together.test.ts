// Goal: what a service keeps together goes to one backend, request after request, on whatever connection.
// Method: whole sessions and TCP connections over recorded streams; where each request arrived.

import { describe, expect, test } from "vitest";
import type { Change } from "../../src/model/change.ts";
import { Policy } from "../../src/model/service.ts";
import type { HashKey } from "../../src/model/service-options.ts";
import { TcpSession } from "../../src/worker/tcp-session.ts";
import { backend } from "../routing/changes.ts";
import { recordedSession } from "../support/recorded-session.ts";
import { RecordingStream } from "../support/recording-stream.ts";
import { talk } from "../support/session-in-memory.ts";
import { web } from "../support/watched-table.ts";

const addresses = Array.from({ length: 8 }, (_, i) => `10.0.0.${i + 1}:80`);

function changes(hashKey?: HashKey): Change[] {
  return [
    web(hashKey === undefined ? {} : { hashKey }, Policy.RingHash),
    ...addresses.map((address) => backend("web", address)),
  ];
}

/** Where each request goes, one after the other on one connection. */
function places(hashKey: HashKey | undefined, heads: readonly string[]): string[] {
  const text = heads.map((head) => `${head.replaceAll("|", "\r\n")}\r\n\r\n`).join("");
  const { requests, violations } = talk({ text, changes: changes(hashKey) });
  expect(violations).toEqual([]);
  expect(requests).toHaveLength(heads.length);
  return requests.map(({ to }) => to);
}

const users = Array.from({ length: 24 }, (_, i) => `u${i}`);

const keyed: readonly (readonly [HashKey, (user: string, i: number) => string])[] = [
  [
    { kind: "header", name: "x-user" },
    (user, i) => `GET /${i} HTTP/1.1|Host: a|X-USER: ${user}|X-I: ${i}`,
  ],
  [
    { kind: "cookie", name: "sid" },
    (user, i) => `GET /${i} HTTP/1.1|Host: a|Cookie: a=${i}; sid=${user}`,
  ],
  [{ kind: "path" }, (user, i) => `GET /${user}?${i} HTTP/1.1|Host: a|X-I: ${i}`],
];

describe("requests are kept together", () => {
  test.for(keyed)("by %j", ([hashKey, head]) => {
    const first = places(hashKey, users.map(head));
    const again = places(hashKey, users.toReversed().map(head)).toReversed();
    expect(again).toEqual(first);
    expect(new Set(first).size).toBeGreaterThan(4);
  });

  test("by their client where nothing else is said, or is there", () => {
    const heads = users.map((user, i) => `GET /${user} HTTP/1.1|Host: a|X-I: ${i}`);
    const byClient = places(undefined, heads);
    expect(new Set(byClient).size).toBe(1);
    expect(places({ kind: "header", name: "x-user" }, heads)).toEqual(byClient);
  });
});

test("TCP connections are kept together by their client", () => {
  const where = (remoteAddress: string): string | undefined => {
    const { context, dialled, sessions } = recordedSession({}, {}, changes());
    const stream = new RecordingStream();
    const { remotePort, localAddress, localPort } = stream;
    const ends = { remoteAddress, remotePort, localAddress, localPort };
    void new TcpSession(context, sessions, stream, ends);
    return dialled[0]?.to;
  };
  const clients = Array.from({ length: 40 }, (_, i) => `192.0.2.${i}`);
  const first = clients.map(where);
  expect(clients.map(where)).toEqual(first);
  expect(new Set(first).size).toBeGreaterThan(4);
});
