// Goal: the soak of the adapters finds nothing wrong in small, over each of them, and overlooks nothing.
// Method: the soak itself, some thousand requests long; its reader and its judge are shown what is right, and what is not.

import { describe, expect, test } from "vitest";
import { adapters } from "../support/adapters.ts";
import {
  framingField,
  messageBytes,
  type PlannedBody,
  patternOf,
  planOf,
} from "../support/soak-plan.ts";
import { fieldIn, SoakReader } from "../support/soak-reader.ts";
import { type AdapterSoakFigures, adapterSoakFailures, runAdapterSoak } from "./adapters.ts";

const seed = Number(process.env["SEED"] ?? 1);
const requests = 5_000;

test.for(adapters)("$name, in small", { timeout: 120_000 }, async ({ name: io }) => {
  const figures = await runAdapterSoak({ io, requests, seed, say: () => {} });
  expect(adapterSoakFailures(figures, requests)).toEqual([]);
  expect(figures.clients.answered).toBeGreaterThan(requests / 2);
});

describe("the reader", () => {
  const pattern = patternOf(seed);
  /** What it says of these bytes: how many messages were right, or what was wrong. */
  const read = (bytes: Buffer, body: PlannedBody, each: number): string => {
    let whole = 0;
    const reader = new SoakReader(pattern, {
      head: (text) => {
        const length = Number(fieldIn(text.toLowerCase(), "content-length"));
        return { framing: body.framing, length, body };
      },
      whole: () => whole++,
    });
    try {
      for (let at = 0; at < bytes.length; at += each) reader.read(bytes.subarray(at, at + each));
      reader.end();
    } catch (error) {
      return String(error);
    }
    return `${whole} right${reader.isWithin ? ", then a part" : ""}`;
  };
  const bodies = (["none", "length", "chunked", "until-close"] as const).flatMap((framing) =>
    [0, 1, 3_000].map((size) => ({ framing, size: framing === "none" ? 0 : size, at: 77 })),
  );
  const message = (body: PlannedBody): Buffer =>
    messageBytes(`HTTP/1.1 200 OK\r\n${framingField(body)}\r\n`, body, pattern, 700);

  test.for(bodies)("takes what is right, however it comes: $framing, $size bytes", (body) => {
    const bytes = message(body);
    for (const each of [1, 7, bytes.length]) expect(read(bytes, body, each)).toBe("1 right");
    if (body.framing === "until-close") return;
    expect(read(Buffer.concat([bytes, bytes]), body, 11)).toBe("2 right");
    expect(read(bytes.subarray(0, -1), body, 100)).toContain("0 right, then a part");
  });

  test.for(bodies.filter(({ size }) => size > 0))(
    "sees one wrong byte, another's bytes, one too few: $framing, $size bytes",
    (body) => {
      const wrong = message(body);
      // The last one; behind it comes the end of the chunks.
      wrong[wrong.length - (body.framing === "chunked" ? 8 : 1)]! ^= 1;
      expect(read(wrong, body, 100)).toContain("differs");
      expect(read(message({ ...body, at: 78 }), body, 100)).toContain("differs");
      expect(read(message({ ...body, size: body.size - 1 }), body, 100)).toContain("instead of");
      expect(read(message({ ...body, size: body.size + 1 }), body, 100)).toContain("more than");
    },
  );
});

test("plans are the same for the same seed, of every kind, and differ", () => {
  const plans = Array.from({ length: 30_000 }, (_, id) => planOf(5, id));
  expect(planOf(5, 77)).toEqual(plans[77]);
  expect(planOf(6, 77)).not.toEqual(plans[77]);
  expect(new Set(plans.map(({ fault }) => fault)).size).toBe(10);
  expect(new Set(plans.map(({ answer }) => answer.framing)).size).toBe(4);
  expect(Math.max(...plans.map(({ answer }) => answer.size))).toBeGreaterThan(60_000);
  const cutAtTheEnd = plans.filter(
    ({ fault, answer }) => fault === "close-within" && answer.framing === "until-close",
  );
  expect(cutAtTheEnd).toEqual([]);
});

describe("the judge", () => {
  const good: AdapterSoakFigures = {
    clients: {
      asked: 10_000,
      answered: 9_900,
      refused: 20,
      lostRaces: 3,
      cut: 27,
      behind: 30,
      leftOut: 20,
      connections: 100,
      faults: 10,
      wrong: [],
    },
    backends: { requests: 9_950, wrong: [], idleCloses: 5, faults: 200, connections: 300 },
    seconds: 1,
    cpuSeconds: [1, 1, 1],
    open: [],
    descriptorsBefore: 34,
    descriptorsAfter: 33,
    residentEarly: 100e6,
    residentLate: 120e6,
  };
  const { clients, backends } = good;

  test.for<[Partial<AdapterSoakFigures>, string]>([
    [{ clients: { ...clients, wrong: ["request 7: status 500"] } }, "request 7: status 500"],
    [{ backends: { ...backends, wrong: ["a POST came twice"] } }, "a POST came twice"],
    [{ clients: { ...clients, leftOut: 19 } }, "of 10000 requests 9999 came to an end"],
    [{ clients: { ...clients, answered: 900, behind: 9_030 } }, "only 900 of 10000 were answered"],
    [{ backends: { ...backends, requests: 9_000 } }, "more answers than requests"],
    [
      { backends: { ...backends, idleCloses: 2 } },
      "3 502 for 2 connections that ended unannounced",
    ],
    [{ backends: { ...backends, faults: 0 } }, "nobody misbehaved"],
    [{ open: ["crosspoint_connections_open 1"] }, "in the end: crosspoint_connections_open 1"],
    [{ descriptorsAfter: 35 }, "34 descriptors before, 35 after"],
    [{ residentLate: 200e6 }, "100000000 bytes after a fifth, 200000000 in the end"],
  ])("sees %j", ([wrong, says]) => {
    expect(adapterSoakFailures(good, 10_000)).toEqual([]);
    expect(adapterSoakFailures({ ...good, ...wrong }, 10_000)).toEqual([says]);
  });
});
