// Goal: what a worker says of its past arrives, also when the end of its task was told first, by another port.
// Method: the far end of a real MessageChannel is the test's.

import { MessageChannel } from "node:worker_threads";
import { expect, test } from "vitest";
import type { FromWorker } from "../../src/channel/messages.ts";
import { WorkerLink } from "../../src/control/worker-link.ts";
import type { Position } from "../../src/model/position.ts";
import { parseRevision } from "../../src/model/revision.ts";
import { LogPages, logPagesByteLength } from "../../src/telemetry/log-pages.ts";

test("after its end a link hears the last log lines and the count of cut connections, and nothing else", async () => {
  const { port1, port2 } = new MessageChannel();
  const pages = new LogPages(new SharedArrayBuffer(logPagesByteLength));
  const heard: string[] = [];
  const link = new WorkerLink({
    workerId: 1,
    slot: 0,
    port: port1,
    logPages: pages,
    events: {
      ready: () => heard.push("ready"),
      trouble: (reason) => heard.push(reason),
      acked: ({ revision }) => heard.push(`ack ${revision}`),
      ejected: () => heard.push("ejected"),
      nacked: () => heard.push("nack"),
      log: (lines) => heard.push(Buffer.from(lines).toString("latin1")),
      drained: (cut) => heard.push(`cut ${cut}`),
    },
  });
  const say = (message: FromWorker): void => port2.postMessage(message);
  link.end("it has drained");
  const asked = link.explain({ kind: "tcp", port: 1 }, new AbortController().signal);
  await expect(asked).rejects.toThrow("worker 0 has ended: it has drained");
  say({ kind: "ready" });
  say({ kind: "ack", position: 3 as Position, revision: parseRevision(3), refused: [] });
  const page = pages.take();
  pages.bytesOf(page).set(new TextEncoder().encode("last words\n"));
  say({ kind: "log", page, length: 11 });
  say({ kind: "drained", cut: 2 });
  port2.close();
  await link.gone;
  expect(heard).toEqual(["last words\n", "cut 2"]);
});
