// A worker for tests of the fleet that uses its connections by number alone: it accepts from its loans, marks,
// says "hello\n" and keeps them. Nothing but the main thread closes them when its thread ends.

import { HeldDescriptors } from "../../src/channel/descriptors.ts";
import type { FromWorker, ToWorker, WorkerStart } from "../../src/channel/messages.ts";
import { pin } from "../../src/io/ffi.ts";
import { acceptOne, closeFd, PeerAddress, sendPinned } from "../../src/io/sockets.ts";
import { Counter, countersIn } from "../../src/telemetry/counters.ts";

const hello = new Uint8Array(Buffer.from("hello\n"));
const lookMs = 1;

export default function work(start: WorkerStart): Promise<void> {
  const { control } = start;
  const held = new HeldDescriptors(start.descriptors);
  const counters = countersIn(start.counters);
  const post = (message: FromWorker): void => control.postMessage(message);
  const peer = new PeerAddress();
  const at = pin(hello);
  let listening: readonly number[] = [];
  const look = setInterval(() => {
    counters[Counter.heartbeatMs]! += 1;
    for (const listener of listening) {
      for (let fd = acceptOne(listener, peer); fd >= 0; fd = acceptOne(listener, peer)) {
        held.hold(fd);
        sendPinned(fd, at, hello.length);
      }
    }
  }, lookMs);
  return new Promise((resolve) => {
    control.on("message", (message: ToWorker) => {
      switch (message.kind) {
        case "snapshot": {
          const { position, revision } = message;
          listening = message.listeners.flatMap(({ fd }) => fd ?? []);
          return post({ kind: "ack", position, revision, refused: [] });
        }
        case "crash":
          throw new Error("told to crash");
        case "stall": {
          const until = performance.now() + message.ms;
          while (performance.now() < until);
          return;
        }
        case "drain": {
          // All but the last: what drains may leave something too.
          const open = held.all();
          for (const fd of open.slice(0, -1)) {
            held.drop(fd);
            closeFd(fd);
          }
          clearInterval(look);
          post({ kind: "drained", cut: open.length });
          control.close();
          return resolve();
        }
        default:
          return;
      }
    });
    post({ kind: "ready" });
  });
}
