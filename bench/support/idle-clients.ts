// Connections that asked once and wait: `node idle-clients.ts '{"port":…}'` prints "waiting N" when all N
// have their answer, and holds them until it is ended. "lost" follows should one be closed.

import { connect } from "node:net";

export interface IdleClientsOptions {
  readonly port: number;
  readonly host: string;
  readonly connections: number;
}

/** Connections that are being opened at a time: no more than any listener lets wait. */
const opening = 64;

const options = JSON.parse(process.argv[2] ?? "{}") as IdleClientsOptions;
const request = Buffer.from(`GET / HTTP/1.1\r\nHost: ${options.host}\r\n\r\n`);
let begun = 0;

process.once("SIGTERM", () => process.exit(0));
await Promise.all(Array.from({ length: opening }, openInTurn));
console.log(`waiting ${options.connections}`);

async function openInTurn(): Promise<void> {
  while (begun < options.connections) {
    begun++;
    await oneConnection();
  }
}

function oneConnection(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: options.port, host: "127.0.0.1", noDelay: true });
    socket.once("connect", () => socket.write(request));
    socket.once("data", (bytes) => {
      if (bytes.toString("latin1").startsWith("HTTP/1.1 200 ")) resolve();
      else reject(new Error(bytes.toString("latin1")));
    });
    socket.once("error", reject);
    socket.once("close", () => {
      console.log("lost");
      reject(new Error("closed"));
    });
  });
}
