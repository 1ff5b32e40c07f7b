// Goal: the runner tells a router from something that merely forwards.
// Method: it runs against a blind TCP relay, which must pass plain traffic and fail every attack.

import type { AddressInfo } from "node:net";
import { connect, createServer, type Server } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CaseBackend, runHttpCases } from "../support/http-case-runner.ts";

let backend: CaseBackend;
let relay: Server;

beforeEach(async () => {
  backend = await CaseBackend.start();
  relay = createServer((client) => {
    const upstream = connect({ port: backend.port, host: "127.0.0.1" });
    client.pipe(upstream).pipe(client);
    client.on("error", () => upstream.destroy());
    upstream.on("error", () => client.destroy());
    client.on("close", () => upstream.destroy());
  });
  await new Promise<void>((listening) => relay.listen(0, "127.0.0.1", () => listening()));
});

afterEach(async () => {
  await backend.close();
  await new Promise<void>((closed) => relay.close(() => closed()));
});

const verdicts: Readonly<Record<string, string>> = {
  "CTL-01": "strict",
  "CTL-02": "strict",
  "CTL-12": "missed", // absolute-form is to become origin-form
  "CL-19": "missed", // 005
  "SM-01": "missed", // both framings
  "HB-08": "missed", // Proxy
  "PL-01": "strict",
  "RL-05": "missed", // space in the target
  "UP-01": "strict",
  "UP-08": "missed", // octets ahead of the answer
  "US-01": "strict",
  "US-02": "strict",
  "US-08": "missed", // negative length relayed
  "US-38": "missed", // body of a 204
};

test("a blind relay passes plain traffic and misses what a router must not let through", async () => {
  const { port } = relay.address() as AddressInfo;
  const results = await runHttpCases({
    proxyPort: port,
    backend,
    only: ({ id }) => Object.hasOwn(verdicts, id),
  });
  const seen = Object.fromEntries(results.map(({ id, verdict }) => [id, verdict]));
  expect(seen, JSON.stringify(results, undefined, 1)).toEqual(verdicts);
});
