// One end of a raw TCP connection under a test's hand, and a backend made of such ends: bytes go out
// as given, bytes come in as they came.

import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { closeFd, listen, openListener } from "../../src/io/sockets.ts";
import { readStrict, type StrictKind, type StrictMessage, statusOf } from "./strict-http.ts";
import { turns, until } from "./until.ts";

export class Peer {
  readonly socket: Socket;
  /** Received and not yet taken, as latin1. */
  text = "";
  /** Everything ever received, in bytes. */
  bytesReceived = 0;
  /** The other side has ended its direction. */
  ended = false;
  closed = false;
  /** "ECONNRESET" and the like; "" when there was none. */
  error = "";

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (data) => {
      this.bytesReceived += data.length;
      this.text += data.toString("latin1");
    });
    socket.on("end", () => (this.ended = true));
    socket.on("error", (error: NodeJS.ErrnoException) => (this.error = error.code ?? "error"));
    socket.on("close", () => (this.closed = true));
  }

  /** Connects to a port of this machine. */
  static async connect(port: number, host = "127.0.0.1"): Promise<Peer> {
    const peer = new Peer(connect({ port, host, noDelay: true, allowHalfOpen: true }));
    await until(() => !peer.socket.connecting || peer.closed, `a connection to port ${port}`);
    if (peer.closed) throw new Error(`port ${port}: ${peer.error}`);
    return peer;
  }

  send(bytes: string | Uint8Array): this {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
    return this;
  }

  /** Sends piece by piece; each has arrived before the next leaves. */
  async sendEach(pieces: Iterable<string>): Promise<void> {
    for (const piece of pieces) {
      this.send(piece);
      await turns(2);
    }
  }

  /** FIN after what was sent. */
  end(): this {
    this.socket.end();
    return this;
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  get over(): boolean {
    return this.ended || this.closed;
  }

  async untilEnded(): Promise<void> {
    await until(
      () => this.over,
      () => `the end; so far ${JSON.stringify(this.text.slice(0, 200))}`,
    );
  }

  async untilClosed(): Promise<void> {
    await until(() => this.closed, "the close");
  }

  /** Takes everything up to and with `mark`. */
  async take(mark: string): Promise<string> {
    await until(
      () => this.text.includes(mark) || this.over,
      () => `${JSON.stringify(mark)} in ${JSON.stringify(this.text.slice(0, 200))}`,
    );
    const at = this.text.indexOf(mark);
    if (at < 0)
      throw new Error(`ended before ${JSON.stringify(mark)}: ${JSON.stringify(this.text)}`);
    return this.#takeOff(at + mark.length);
  }

  takeHead(): Promise<string> {
    return this.take("\r\n\r\n");
  }

  /** Takes `count` bytes. */
  async takeBytes(count: number): Promise<string> {
    await until(
      () => this.text.length >= count || this.over,
      () => `${count} bytes; there are ${this.text.length}`,
    );
    if (this.text.length < count) throw new Error(`ended before ${count} bytes: ${this.text}`);
    return this.#takeOff(count);
  }

  #takeOff(count: number): string {
    const taken = this.text.slice(0, count);
    this.text = this.text.slice(count);
    return taken;
  }

  /** Takes the next whole message, read by strict-http.ts; throws when it is not well-formed. */
  async takeMessage(kind: StrictKind, bodiless = false): Promise<StrictMessage> {
    let message: StrictMessage | undefined;
    await until(
      () => {
        message = readStrict(this.text, kind, { bodiless, ended: this.over });
        return message?.complete === true || this.over;
      },
      () => `a ${kind}; so far ${JSON.stringify(this.text.slice(0, 300))}`,
    );
    if (message?.complete !== true) {
      throw new Error(`ended before a whole ${kind}: ${JSON.stringify(this.text.slice(0, 300))}`);
    }
    if (message.violations.length > 0) throw new Error(`bad ${kind}: ${message.violations.join()}`);
    this.#takeOff(message.length);
    return message;
  }

  takeRequest(): Promise<StrictMessage> {
    return this.takeMessage("request");
  }

  /** Takes the next final answer; interim ones before it are passed over. */
  async takeAnswer(options: { readonly bodiless?: boolean } = {}): Promise<StrictMessage> {
    for (;;) {
      const answer = await this.takeMessage("response", options.bodiless);
      if (statusOf(answer) >= 200) return answer;
    }
  }
}

/** A server whose connections a test holds in its hands, or that a script answers. */
export class RawBackend {
  /** In the order in which they came. */
  readonly peers: Peer[] = [];
  readonly #server: Server;
  #taken = 0;

  private constructor(script: ((peer: Peer) => Promise<void>) | undefined) {
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      const peer = new Peer(socket);
      this.peers.push(peer);
      // A script ends when its peer does; what it waited for then does not matter.
      script?.(peer).catch(() => peer.socket.destroy());
    });
  }

  /** @param port 0: one that is free. */
  static async start(script?: (peer: Peer) => Promise<void>, port = 0): Promise<RawBackend> {
    const backend = new RawBackend(script);
    await new Promise<void>((listening) =>
      backend.#server.listen({ port, host: "127.0.0.1" }, listening),
    );
    return backend;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** The next connection that nobody has taken yet. */
  async accept(): Promise<Peer> {
    await until(() => this.peers.length > this.#taken, "a connection to the backend");
    return this.peers[this.#taken++]!;
  }

  /** No further connections: they are refused. */
  async refuse(): Promise<void> {
    await new Promise<void>((closed) => {
      this.#server.close(() => closed());
      for (const { socket } of this.peers) socket.destroy();
    });
  }

  async close(): Promise<void> {
    if (this.#server.listening) await this.refuse();
  }
}

/** A port of this machine where nobody listens. */
export async function refusedAddress(): Promise<string> {
  const backend = await RawBackend.start();
  const { address } = backend;
  await backend.close();
  return address;
}

/**
 * An address that answers no SYN: a listening socket whose queue is full and that nobody accepts
 * from. Closed when the test ends.
 */
export async function blackHole(): Promise<string> {
  const { fd, port } = openListener({ address: "127.0.0.1", port: 0 });
  listen(fd, 0);
  const filler = await Peer.connect(port);
  onTestFinished(() => {
    filler.socket.destroy();
    closeFd(fd);
  });
  return `127.0.0.1:${port}`;
}

/** Answers every request with what `answer` says, on the same connection, until it ends. */
export function answering(
  answer: (request: StrictMessage, peer: Peer) => string,
): (peer: Peer) => Promise<void> {
  return async (peer) => {
    while (!peer.closed) {
      const request = await peer.takeRequest();
      peer.send(answer(request, peer));
    }
  };
}

/** A 200 with this body and its length. */
export function okAnswer(body: string, fields = ""): string {
  return `HTTP/1.1 200 OK\r\n${fields}Content-Length: ${body.length}\r\n\r\n${body}`;
}
