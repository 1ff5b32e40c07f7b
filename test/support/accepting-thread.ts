// A thread that accepts from a lent descriptor, says one word to everybody, and throws when told to.

import { Socket } from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import { acceptWatched, watchReadable } from "../../src/io/net/accept-watch.ts";
import { PeerAddress } from "../../src/io/sockets.ts";

const { fd } = workerData as { readonly fd: number };
const peer = new PeerAddress();
watchReadable(fd, () => {
  for (let taken = acceptWatched(fd, peer); taken >= 0; taken = acceptWatched(fd, peer)) {
    new Socket({ fd: taken, readable: true, writable: true }).on("error", () => {}).write("hello");
  }
});
parentPort!.on("message", () => {
  throw new Error("told to throw");
});
parentPort!.postMessage("ready");
