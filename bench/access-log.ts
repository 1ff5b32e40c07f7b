// What does one access-log line cost the worker? No sockets: the formatter alone, with every field.

import { realSystem } from "../src/system.ts";
import { AccessField } from "../src/telemetry/access-fields.ts";
import { AccessLog } from "../src/telemetry/access-log.ts";
import { countersByteLength, countersIn } from "../src/telemetry/counters.ts";
import { LogPages, logPagesByteLength } from "../src/telemetry/log-pages.ts";
import { machineName } from "./support/machine.ts";
import type { Question } from "./support/question.ts";
import { type Figures, medianFigures } from "./support/results.ts";

const head = Buffer.from("GET /index/of/things?x=1 HTTP/1.1\r\nHost: app-17.example.com\r\n");
const requestId = Buffer.from("0f8fad5b-d9cb-469f-a165-70867728950e");
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
  const startMs = performance.now();
  for (let i = 0; i < lines; i++) writeLine(log, i);
  log.flush();
  const elapsedMs = performance.now() - startMs;
  const figures = { "µs per line": (elapsedMs * 1000) / lines, "bytes per line": bytes / lines };
  console.log(`  ${JSON.stringify(figures)}`);
  return figures;
}

function writeLine(log: AccessLog, i: number): void {
  log.begin();
  log.textField(AccessField.client, "192.0.2.117");
  log.bytesField(AccessField.method, head, 0, 3);
  log.bytesField(AccessField.host, head, 41, 59);
  log.bytesField(AccessField.path, head, 4, 24);
  log.numberField(AccessField.status, 200);
  log.numberField(AccessField.bytesIn, 117);
  log.numberField(AccessField.bytesOut, 243);
  log.numberField(AccessField.durationMs, 0.731 + (i % 7));
  log.textField(AccessField.route, "app-17-example-com");
  log.textField(AccessField.service, "web-17");
  log.textField(AccessField.backend, "127.0.0.1:9000");
  log.numberField(AccessField.tries, 1);
  log.numberField(AccessField.revision, 1017);
  log.textField(AccessField.reason, "");
  log.bytesField(AccessField.requestId, requestId, 0, requestId.length);
  log.textField(AccessField.protocol, "HTTP/1.1");
  log.end();
}
