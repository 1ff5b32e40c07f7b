// Clients that are slow on purpose: a head, a body or an answer that takes its time, or an answer that is never read.
// One that the router has had enough of is replaced by another, so that the crowd keeps its size.

import { connect, type Socket } from "node:net";
import { soakHost } from "./soak-node.ts";

export type Slowness = "head" | "body" | "reader" | "stalled" | "unread";

/** Between two octets, or two sips of an answer, in ms. */
const stepMs = 500;
/** A sip of an answer, in bytes. */
const sipBytes = 1024;

const firstBytes: Readonly<Record<Slowness, string>> = {
  head: `GET / HTTP/1.1\r\nHost: ${soakHost}\r\n`,
  body: `POST / HTTP/1.1\r\nHost: ${soakHost}\r\nContent-Length: 100000\r\n\r\n`,
  reader: `GET / HTTP/1.1\r\nHost: ${soakHost}\r\n\r\n`,
  // What the kernel does not take waits in the router; and what it takes, nowhere.
  stalled: `GET /huge HTTP/1.1\r\nHost: ${soakHost}\r\n\r\n`,
  unread: `GET /small HTTP/1.1\r\nHost: ${soakHost}\r\n\r\n`,
};

export class SlowCrowd {
  /** Connections that the router ended. */
  ended = 0;
  readonly #port: number;
  readonly #sockets = new Map<Socket, Slowness>();
  readonly #timer: NodeJS.Timeout;
  #closing = false;

  constructor(port: number) {
    this.#port = port;
    this.#timer = setInterval(() => this.#step(), stepMs);
  }

  get size(): number {
    return this.#sockets.size;
  }

  /** Opens `count` more, in no hurry: the listener's queue is not what is tried here. */
  async add(count: number, slowness: Slowness): Promise<void> {
    const batch = 100;
    for (let opened = 0; opened < count; opened += batch) {
      const open = (): Promise<void> => this.#open(slowness);
      await Promise.all(Array.from({ length: Math.min(batch, count - opened) }, open));
    }
  }

  close(): void {
    this.#closing = true;
    clearInterval(this.#timer);
    for (const socket of this.#sockets.keys()) socket.destroy();
  }

  /** Resolves when it is connected and has sent its first bytes, or has failed and will be replaced. */
  #open(slowness: Slowness): Promise<void> {
    return new Promise((resolve) => {
      const socket = connect({ port: this.#port, host: "127.0.0.1", noDelay: true });
      this.#sockets.set(socket, slowness);
      socket.on("connect", () => socket.write(firstBytes[slowness], () => resolve()));
      if (slowness === "head" || slowness === "body") socket.resume();
      else socket.pause();
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        resolve();
        this.#sockets.delete(socket);
        if (this.#closing) return;
        this.ended++;
        setTimeout(() => this.#closing || void this.#open(slowness), stepMs);
      });
    });
  }

  #step(): void {
    for (const [socket, slowness] of this.#sockets) {
      if (socket.connecting || socket.destroyed) continue;
      if (slowness === "head") socket.write("X: 1\r\n");
      else if (slowness === "body") socket.write("x");
      else if (slowness === "reader") sip(socket);
    }
  }
}

/** Takes a little, so that the connection is slow and not dead. */
function sip(socket: Socket): void {
  socket.read(sipBytes);
}
