// The Io port on node:net: works everywhere Node does. Where sockets can be used by number (Linux),
// it accepts from a lent listening socket; elsewhere every worker listens itself with reusePort.

import { createServer, Socket } from "node:net";
import { acceptTrouble } from "../accepting.ts";
import type { Io, IoOptions, ListenPlace } from "../io.ts";
import { peerText } from "../peer-text.ts";
import { type PeerAddress, setNoDelay, socketsAvailable } from "../sockets.ts";
import { type Listener, noEvents, type Stream, type StreamEvents } from "../stream.ts";
import { Acceptor } from "./acceptor.ts";
import { type NetShared, NetStream } from "./net-stream.ts";
import { SendBatch } from "./send-batch.ts";

export interface NetIoOptions extends IoOptions {
  /** Runs an action once, when this turn's events have been handled. */
  readonly atTurnEnd: (action: () => void) => void;
}

export class NetIo implements Io {
  readonly name = "net";
  readonly #options: NetIoOptions;
  readonly #shared: NetShared;

  constructor(options: NetIoOptions) {
    this.#options = options;
    this.#shared = {
      received: Buffer.allocUnsafeSlow(options.receiveBytes),
      sendQueueBytesHigh: options.sendQueueBytesHigh,
      unsentBytesMax: options.unsentBytesMax,
      byNumber: socketsAvailable(),
      batch: new SendBatch(options.atTurnEnd),
    };
  }

  listen(place: ListenPlace, accept: (stream: Stream) => void): Promise<Listener> {
    if (place.fd === undefined) return this.#listenItself(place, accept);
    const { fd, port } = place;
    const { after, onAcceptTrouble } = this.#options;
    const trouble = (code: string): void => onAcceptTrouble?.(acceptTrouble(port, code));
    const adopt = (got: number, peer: PeerAddress): void => this.#adopt(got, peer, port, accept);
    return Promise.resolve(new Acceptor(fd, { after, adopt, trouble }));
  }

  dial(host: string, port: number, events: StreamEvents): Stream {
    let stream: NetStream | undefined;
    const socket = new Socket({
      allowHalfOpen: true,
      onread: {
        buffer: this.#shared.received,
        callback: (count: number) => stream?.receive(count) ?? true,
      },
    });
    stream = new NetStream(socket, this.#shared, {
      events,
      connected: false,
      remoteAddress: host,
      remotePort: port,
      localPort: 0,
    });
    // Before there is a connection it is noted, and set with it. connect's own option `noDelay` does nothing here.
    socket.setNoDelay(true);
    socket.connect({ host, port });
    return stream;
  }

  #adopt(fd: number, peer: PeerAddress, localPort: number, accept: (stream: Stream) => void): void {
    setNoDelay(fd);
    let stream: NetStream | undefined;
    const socket = new Socket({
      fd,
      readable: true,
      writable: true,
      allowHalfOpen: true,
      onread: {
        buffer: this.#shared.received,
        callback: (count: number) => stream?.receive(count) ?? true,
      },
    });
    stream = new NetStream(socket, this.#shared, {
      events: noEvents,
      connected: true,
      remoteAddress: peerText(peer),
      remotePort: peer.port,
      localPort,
    });
    socket.resume();
    accept(stream);
  }

  #listenItself(place: ListenPlace, accept: (stream: Stream) => void): Promise<Listener> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      const stream = new NetStream(socket, this.#shared, {
        events: noEvents,
        connected: true,
        remoteAddress: socket.remoteAddress ?? "",
        remotePort: socket.remotePort ?? 0,
        localPort: place.port,
      });
      accept(stream);
      socket.on("data", (bytes: Buffer) => stream.events.onData(bytes, 0, bytes.length));
    });
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      const { address: host, port } = place;
      server.listen({ host, port, reusePort: true, ipv6Only: host.includes(":") }, () => {
        server.off("error", reject);
        server.on("error", (error) => this.#options.onAcceptTrouble?.(error.message));
        resolve({ close: () => server.close() });
      });
    });
  }
}
