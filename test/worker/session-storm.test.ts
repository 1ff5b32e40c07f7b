// Goal: whatever happens in whatever order, an exchange is lent to one at a time; every request that a backend gets
// and every answer that a client gets is well-formed; an answer is for the request that it follows; a POST goes out
// once; nobody waits for ever; and when all is over nothing is counted as open.
// Method: sessions that share one worker's pools, on recorded streams, in a seeded storm. SEED=n replays one,
// SEEDS=n has so many, STEPS=n makes them longer.

import { expect, test } from "vitest";
import { Row } from "../../src/channel/connection-counts.ts";
import { openGauges } from "../support/one-worker.ts";
import { SessionStorm, type StormClient } from "../support/session-storm.ts";
import { readStrict, statusOf, valuesOf } from "../support/strict-http.ts";

const seed = process.env["SEED"];
const count = Number(process.env["SEEDS"] ?? 20);
const seeds = seed === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [Number(seed)];
const steps = Number(process.env["STEPS"] ?? 600);

/** How many of its requests were answered, each in its turn; "tunnel" after a 101. */
function answersOf({ stream, asked }: StormClient): number | "tunnel" {
  let { text } = stream;
  for (let answered = 0; ; ) {
    const { method = "", id = "" } = asked[answered] ?? {};
    const message = readStrict(text, "response", { bodiless: method === "HEAD", ended: true });
    if (message === undefined) return answered;
    expect(message.violations, stream.text).toEqual([]);
    // Broken off.
    if (!message.complete) return answered;
    const status = statusOf(message);
    text = text.slice(message.length);
    if (status > 101 && status < 200) continue;
    if (status === 100) continue;
    const [tag] = valuesOf(message, "x-tag");
    if (tag !== undefined) expect(tag, stream.text).toBe(id);
    if (status === 101) return "tunnel";
    answered++;
    if (!valuesOf(message, "connection").includes("close")) continue;
    // Half a HEAD is refused as anything else is, with a body.
    if (status !== 400 && status !== 408) expect(text).toBe("");
    return answered;
  }
}

test.for(seeds)("a storm of seed %d", (of) => {
  const storm = new SessionStorm(of);
  const { recording } = storm;
  for (let i = 0; i < steps; i++) storm.step();
  storm.settle();
  for (const client of storm.clients) {
    const answered = answersOf(client);
    const goesOn = !client.isOver && client.stream.calls.length === 0 && !client.hasEnded;
    if (!goesOn || answered === "tunnel") continue;
    expect([answered, client.toSend], client.stream.text).toEqual([client.asked.length, ""]);
  }
  for (const [id, times] of storm.posts) expect(times, `POST ${id}`).toBe(1);
  expect(storm.broken).toEqual([]);
  expect(recording.counter("requestsTotal")).toBeGreaterThan(0);
  storm.end();
  expect(storm.broken).toEqual([]);
  expect(storm.lent.size).toBe(0);
  for (const gauge of openGauges) expect(recording.counter(gauge), gauge).toBe(0);
  expect(recording.context.connections.total(Row.Upgraded)).toBe(0);
  for (const { backends } of recording.context.table.services()) {
    for (const { endpoint } of backends) expect(endpoint.inFlight).toBe(0);
  }
});
