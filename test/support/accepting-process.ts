// Accepts on an adapter in a process that has few descriptors: whoever is accepted gets a greeting, and hears of
// nothing else. Started with the name of the adapter; says its port, then whatever there was about accepting.

import { listen, openListener } from "../../src/io/sockets.ts";
import type { Stream } from "../../src/io/stream.ts";
import { adapterNamed } from "./adapters.ts";

const say = (what: unknown): void => void process.send?.(what);
const { io } = adapterNamed(process.argv[2] ?? "").open({
  receiveBytes: 64 * 1024,
  sendQueueBytesHigh: 64 * 1024,
  unsentBytesMax: undefined,
  onAcceptTrouble: (trouble) => say({ trouble }),
});
const place = { address: "127.0.0.1", ...openListener({ address: "127.0.0.1", port: 0 }) };
listen(place.fd, 4_096);
const greeting = Buffer.from("hello");
const streams = new Set<Stream>();
await io.listen(place, (stream) => {
  streams.add(stream);
  const gone = (): void => void streams.delete(stream);
  stream.events = {
    onConnect() {},
    onData() {},
    onEnd: () => stream.end(),
    onWritable() {},
    onClose: gone,
  };
  stream.write(greeting, 0, greeting.length);
});
process.on("message", () => say({ open: streams.size, cpuMs: process.cpuUsage().user / 1_000 }));
process.on("disconnect", () => process.exit());
say({ port: place.port });
