// What does one access-log line cost the worker? No sockets: the formatter alone, with every field.

import { realSystem } from "../src/system.ts";
import { AccessField, fieldsOf } from "../src/telemetry/access-fields.ts";
import { AccessLog } from "../src/telemetry/access-log.ts";
import { countersByteLength, countersIn } from "../src/telemetry/counters.ts";
import { KeptFields } from "../src/telemetry/kept-fields.ts";
import { LogPages, logPagesByteLength } from "../src/telemetry/log-pages.ts";
import { machineName } from "./support/machine.ts";
import type { Question } from "./support/question.ts";
import { type Figures, medianFigures } from "./support/results.ts";

const head = Buffer.from("GET /index/of/things?x=1 HTTP/1.1\r\nHost: app-17.example.com\r\n");
const requestId = new DataView(new ArrayBuffer(40));
Buffer.from(requestId.buffer).write("0f8fad5b-d9cb-469f-a165-70867728950e");
const getMethod = fieldsOf({ method: "GET" });
const http11 = fieldsOf({ protocol: "http/1.1" });
const backends = ["127.0.0.1:9000", "127.0.0.1:9001", "127.0.0.1:9002", "127.0.0.1:9003"];
const lines = 300_000;

export const accessLog: Question = {
  name: "access-log",
  run: (effort) => {
    round();
    const rounds = Array.from({ length: effort.rounds }, round);
    return Promise.resolve({
      name: "access-log",
      question: "What does one access-log line cost the worker?",
      method: `${lines.toLocaleString("en-US")} lines with all fields, formatted and handed over in batches; medians of ${effort.rounds} rounds.`,
      machine: machineName(),
      versions: { Node: process.versions.node },
      date: new Date().toISOString().slice(0, 10),
      quick: effort.quick,
      rows: [{ name: "One line", figures: medianFigures(rounds), rounds }],
      skipped: [],
    });
  },
};

function round(): Figures {
  let bytes = 0;
  const pages = new LogPages(new SharedArrayBuffer(logPagesByteLength));
  const log = new AccessLog({
    pages,
    send: (page, length) => {
      bytes += length;
      pages.release(page);
    },
    counters: countersIn(new SharedArrayBuffer(countersByteLength)),
    system: realSystem,
  });
  const kept = new KeptFields();
  const startMs = performance.now();
  for (let i = 0; i < lines; i++) writeLine(log, kept, i);
  log.flush();
  const elapsedMs = performance.now() - startMs;
  const figures = { "µs per line": (elapsedMs * 1000) / lines, "bytes per line": bytes / lines };
  console.log(`  ${JSON.stringify(figures)}`);
  return figures;
}

/** As worker/request-record.ts does it: what the request says is kept first, the line comes later. */
function writeLine(log: AccessLog, kept: KeptFields, i: number): void {
  kept.length = 0;
  kept.ready(getMethod);
  kept.bytesField(AccessField.host, head, 41, 59);
  kept.bytesField(AccessField.path, head, 4, 24);
  kept.ready(http11);
  const idAt = kept.length;
  kept.asciiField(AccessField.requestId, requestId, 36);
  log.begin();
  log.client("192.0.2.117");
  log.keptFields(kept, 0, idAt);
  log.readyFields(log.ready.bodiless(200));
  log.numberField(AccessField.bytesOut, 243);
  log.thousandthsField(AccessField.durationMs, 731 + (i % 7));
  log.place("app-17-example-com", "web-17", backends[i & 3]!);
  log.readyFields(log.ready.untroubled(1017));
  log.keptFields(kept, idAt, kept.length);
  log.end();
}
