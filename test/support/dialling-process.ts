// Dials on an adapter in a process that has few descriptors, more than fit, and keeps all that stands. Started with the
// name of the adapter and a port of 127.0.0.1; says how each dial came out.

import { adapterNamed } from "./adapters.ts";

const { io } = adapterNamed(process.argv[2] ?? "").open({
  receiveBytes: 64 * 1024,
  sendQueueBytesHigh: 64 * 1024,
  unsentBytesMax: undefined,
  onAcceptTrouble: () => {},
});
const say = (outcome: string): void => void process.send?.(outcome);
for (let i = 0; i < 100; i++) {
  io.dial("127.0.0.1", Number(process.argv[3]), {
    onConnect: () => say("connected"),
    onData() {},
    onEnd() {},
    onWritable() {},
    onClose: (reason) => say(reason),
  });
}
process.on("disconnect", () => process.exit());
