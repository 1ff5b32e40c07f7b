// Goal: every line is JSON that says what was meant, whatever bytes a client sent; nothing is lost unsaid.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  accessLogFieldBytesMax,
  accessLogLineBytesMax,
  accessLogPageBytes,
} from "../../src/limits.ts";
import { AccessField, accessKey } from "../../src/telemetry/access-fields.ts";
import { AccessLog } from "../../src/telemetry/access-log.ts";
import { Counter, countersByteLength, countersIn } from "../../src/telemetry/counters.ts";
import { KeptFields } from "../../src/telemetry/kept-fields.ts";
import { LogPages, logPagesByteLength } from "../../src/telemetry/log-pages.ts";

function setUp(nowMs = Date.UTC(2026, 10, 21, 5, 1, 2, 34)): {
  log: AccessLog;
  clock: { nowMs: number };
  batches: Uint8Array[];
  counters: Float64Array;
  lines: () => Record<string, unknown>[];
} {
  const batches: Uint8Array[] = [];
  const pages = new LogPages(new SharedArrayBuffer(logPagesByteLength));
  const clock = { nowMs };
  const counters = countersIn(new SharedArrayBuffer(countersByteLength));
  const log = new AccessLog({
    pages,
    send: (page, length) => {
      batches.push(pages.bytesOf(page).slice(0, length));
      pages.release(page);
    },
    counters,
    system: { wallMs: () => clock.nowMs },
  });
  const lines = (): Record<string, unknown>[] => {
    log.flush();
    const text = batches.map((batch) => Buffer.from(batch).toString("ascii")).join("");
    const parts = text.split("\n");
    expect(parts.pop()).toBe("");
    return parts.map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  return { log, clock, batches, counters, lines };
}

const bytesOf = (text: string): Uint8Array => Buffer.from(text, "latin1");
const valueKey = accessKey("value");

describe("AccessLog", () => {
  test("writes one JSON line with the fields in their order", () => {
    const { log, batches } = setUp();
    const kept = new KeptFields();
    const head = bytesOf("GET /a?b HTTP/1.1");
    kept.bytesField(AccessField.method, head, 0, 3);
    const pathAt = kept.length;
    kept.bytesField(AccessField.path, head, 4, 8);
    log.begin();
    log.client("192.0.2.7");
    log.keptFields(kept, 0, pathAt);
    log.keptFields(kept, pathAt, kept.length);
    log.readyFields(log.ready.bodiless(200));
    log.numberField(AccessField.durationMs, 1.25);
    log.place("app", "web", "127.0.0.1:9000");
    log.readyFields(log.ready.untroubled(7));
    log.end();
    log.flush();
    expect(Buffer.concat(batches).toString()).toBe(
      '{"time":"2026-11-21T05:01:02.034Z","client":"192.0.2.7","method":"GET","path":"/a?b","status":200,"bytes_in":0,"duration_ms":1.250,"route":"app","service":"web","backend":"127.0.0.1:9000","tries":1,"revision":7,"reason":""}\n',
    );
  });

  test.for([
    [0, "2026-11-21T05:01:02.034Z"],
    [65, "2026-11-21T05:01:02.099Z"],
    [966, "2026-11-21T05:01:03.000Z"],
    [-35, "2026-11-21T05:01:01.999Z"],
    [86_400_000, "2026-11-22T05:01:02.034Z"],
  ] as const)("writes the time %i ms later as %s", ([laterMs, time]) => {
    const { log, clock, lines } = setUp();
    log.begin();
    log.end();
    clock.nowMs += laterMs;
    log.begin();
    log.end();
    expect(lines()[1]).toEqual({ time });
  });

  test("escapes any text, lone surrogates included", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 100 }), (text) => {
        const { log, lines } = setUp();
        log.begin();
        log.textField(valueKey, text);
        log.end();
        expect(lines()[0]?.["value"]).toBe(text);
      }),
    );
  });

  test("writes any safe integer digit by digit", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        const { log, lines } = setUp();
        log.begin();
        log.numberField(valueKey, value);
        log.end();
        expect(lines()[0]?.["value"]).toBe(value);
      }),
    );
  });

  test.for([
    [0.0004, "0"],
    [-0.0004, "0"],
    [0.9996, "1"],
    [-1.5, "-1.500"],
    [12.034, "12.034"],
    [2147483647, "2147483647"],
    [2147483648.5, "2147483648.500"],
    [Number.NaN, "null"],
    [Number.POSITIVE_INFINITY, "null"],
    [Number.NEGATIVE_INFINITY, "null"],
  ] as const)("writes %d as %s", ([value, text]) => {
    const { log, batches } = setUp();
    log.begin();
    log.numberField(valueKey, value);
    log.end();
    log.flush();
    expect(Buffer.concat(batches).toString()).toContain(`"value":${text}}`);
  });

  test.for([
    [0, "0"],
    [7, "0.007"],
    [731, "0.731"],
    [12_000, "12"],
    [2 ** 31 - 1, "2147483.647"],
  ] as const)("writes %i thousandths as %s", ([thousandths, text]) => {
    const { log, batches } = setUp();
    log.begin();
    log.thousandthsField(valueKey, thousandths);
    log.end();
    log.flush();
    expect(Buffer.concat(batches).toString()).toContain(`"value":${text}}`);
  });

  test("cuts a long value off", () => {
    const { log, lines } = setUp();
    log.begin();
    log.textField(valueKey, "b".repeat(accessLogFieldBytesMax + 1));
    log.end();
    expect(lines()[0]?.["value"]).toBe("b".repeat(accessLogFieldBytesMax));
  });

  test("drops and counts a line that grows too long, and carries on with the next", () => {
    const { log, counters, lines } = setUp();
    const hostile = "\u0001".repeat(accessLogFieldBytesMax);
    const fields = Math.ceil(accessLogLineBytesMax / (accessLogFieldBytesMax * 6));
    log.begin();
    for (let i = 0; i < fields; i++) log.textField(valueKey, hostile);
    log.numberField(AccessField.status, 200);
    log.end();
    log.begin();
    log.numberField(AccessField.status, 204);
    log.end();
    expect(lines()).toEqual([{ time: "2026-11-21T05:01:02.034Z", status: 204 }]);
    expect(counters[Counter.logLinesDropped]).toBe(1);
  });

  test("drops and counts a line whose ready, kept or repeated fields do not fit any more", () => {
    const kept = new KeptFields();
    const path = bytesOf("a".repeat(accessLogFieldBytesMax));
    kept.bytesField(AccessField.path, path, 0, path.length);
    const name = "r".repeat(63);
    // Time, then `,"k":""` until less than 24 bytes are left.
    const fillers = Math.floor((accessLogLineBytesMax - 34 - 10) / 7) - 2;
    const tails: readonly ((log: AccessLog) => void)[] = [
      (log) => log.readyFields(log.ready.untroubled(1)),
      (log) => log.keptFields(kept, 0, kept.length),
      (log) => log.place(name, name, "127.0.0.1:9000"),
      (log) => log.place("a".repeat(500), "b".repeat(500), "c".repeat(500)),
    ];
    for (const tail of tails) {
      const { log, counters, lines } = setUp();
      log.begin();
      for (let i = 0; i < fillers; i++) log.textField(accessKey("k"), "");
      tail(log);
      log.end();
      expect([lines(), counters[Counter.logLinesDropped]]).toEqual([[], 1]);
    }
  });

  test("writes names that are too long to stand ready one by one", () => {
    const { log, lines } = setUp();
    const [route, service, backend] = ["r".repeat(90), "s".repeat(90), "b".repeat(90)] as const;
    log.begin();
    log.client("c".repeat(90));
    log.place(route, service, backend);
    log.end();
    expect(lines()[0]).toMatchObject({ client: "c".repeat(90), route, service, backend });
  });

  test("fills a page with lines of the greatest length, and none is cut or mixed", () => {
    const { log, batches, lines } = setUp();
    const length = accessLogFieldBytesMax;
    const line = (i: number): void => {
      log.begin();
      log.numberField(AccessField.tries, i);
      for (let k = 0; k < 26; k++) log.textField(valueKey, "x".repeat(length - 1 - (i % 9)));
      log.end();
    };
    for (let i = 0; i < 100; i++) line(i);
    expect(batches.length).toBeGreaterThan(10);
    expect(lines().map((it) => it["tries"])).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  test("sends a batch when it is full, of whole lines, and the rest when flushed", () => {
    const { log, batches, lines } = setUp();
    const value = "x".repeat(1000);
    for (let i = 0; i < 1400; i++) {
      log.begin();
      log.numberField(AccessField.tries, i);
      log.textField(valueKey, value);
      log.end();
    }
    expect(batches.length).toBe(3);
    for (const batch of batches) {
      expect(batch.length).toBeGreaterThan(accessLogPageBytes - accessLogLineBytesMax);
      expect(batch.buffer.byteLength).toBe(batch.length);
      expect(batch.at(-1)).toBe(10);
    }
    expect(lines().map((line) => line["tries"])).toEqual(Array.from({ length: 1400 }, (_, i) => i));
    log.flush();
    expect(batches.length).toBe(4);
  });
});
