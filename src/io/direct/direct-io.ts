// The Io port on descriptors and a driver: accepts from lent listening sockets, dials, and owns what it opened.
//
// Knows: which calls make a connection. Does not know how it is waited for (turn-loop.ts, the drivers).

import { lookup } from "node:dns";
import { isIP } from "node:net";
import {
  acceptRestMs,
  acceptsPerTurnMax,
  acceptTrouble,
  Refused,
  refusedBy,
} from "../accepting.ts";
import { errnoName, pin } from "../ffi.ts";
import type { DescriptorLedger, Io, IoOptions, ListenPlace } from "../io.ts";
import { peerText } from "../peer-text.ts";
import { acceptOne, beginConnect, openDialling, PeerAddress } from "../sockets.ts";
import { type Listener, noEvents, type Stream, type StreamEvents } from "../stream.ts";
import type { DirectShared } from "./direct-shared.ts";
import { DirectStream } from "./direct-stream.ts";
import { Outbox } from "./outbox.ts";
import { type PipeLimits, PipePool } from "./pipes.ts";
import type { TurnLoop, Watcher } from "./turn-loop.ts";

/** Before it closes: twice what waits in a queue of ours (`listenBacklog`), or a flood would keep it open for ever. */
const acceptsAtCloseMax = 8_192;

export interface DirectIoOptions extends IoOptions {
  readonly loop: TurnLoop;
  readonly ledger: DescriptorLedger;
  /** Absent: streams do not relay. */
  readonly pipes?: PipeLimits;
}

export class DirectIo implements Io {
  readonly name: string;
  readonly #options: DirectIoOptions;
  readonly #shared: DirectShared;

  constructor(options: DirectIoOptions) {
    const { loop } = options;
    this.#options = options;
    this.name = loop.driver.name;
    const received = Buffer.allocUnsafeSlow(options.receiveBytes);
    this.#shared = {
      loop,
      outbox: new Outbox(loop.driver, (action) => loop.atTurnEnd(action)),
      ledger: options.ledger,
      pipes: options.pipes === undefined ? undefined : new PipePool(options.ledger, options.pipes),
      received,
      receivedAt: pin(received),
      sendQueueBytesHigh: options.sendQueueBytesHigh,
      unsentBytesMax: options.unsentBytesMax,
    };
  }

  /** Closes what belongs to no stream. */
  close(): void {
    this.#shared.pipes?.close();
  }

  /** Rejects when there is no socket to accept from: where descriptors cannot be lent, the net adapter serves. */
  listen(place: ListenPlace, accept: (stream: Stream) => void): Promise<Listener> {
    const { fd } = place;
    if (fd === undefined) {
      return Promise.reject(new Error(`port ${place.port}: no listening socket was lent`));
    }
    const listener = new DirectListener(fd, place.port, this.#shared, this.#options, accept);
    return Promise.resolve(listener);
  }

  dial(host: string, port: number, events: StreamEvents): Stream {
    const stream = new DirectStream(this.#shared, {
      events,
      connected: false,
      remoteAddress: host,
      remotePort: port,
      localPort: 0,
    });
    const { marks } = this.#shared.ledger;
    if (isIP(host) === 0) resolve(stream, host, port, marks);
    else connect(stream, host, port, marks);
    return stream;
  }
}

/** Stands for whatever keeps a descriptor from being watched. */
const ENOSPC = 28;

/** The outcome comes by the stream's events. */
function connect(stream: DirectStream, address: string, port: number, marks?: Int32Array): void {
  const fd = openDialling(address, marks);
  if (fd < 0) return stream.failToConnect(-fd);
  // Not watched before: a socket that does not connect yet looks as if it were broken.
  const errno = beginConnect(fd, address, port);
  const trouble = stream.attach(fd);
  if (trouble !== "") stream.failToConnect(ENOSPC, trouble);
  else if (errno !== 0) stream.failToConnect(errno);
}

/** Tries the addresses of a name one after the other. */
function resolve(stream: DirectStream, host: string, port: number, marks?: Int32Array): void {
  lookup(host, { all: true }, (error, addresses) => {
    if (stream.isOver) return;
    if (error !== null) return stream.failToConnect(0, `${host}: ${error.code ?? error.message}`);
    let tried = 0;
    const next = (): boolean => {
      const address = addresses[tried++]?.address;
      if (address === undefined) return false;
      connect(stream, address, port, marks);
      return true;
    };
    stream.onRefused = next;
    if (!next()) stream.failToConnect(0, `${host}: no address`);
  });
}

class DirectListener implements Listener, Watcher {
  readonly #fd: number;
  readonly #port: number;
  readonly #shared: DirectShared;
  readonly #options: DirectIoOptions;
  readonly #accept: (stream: Stream) => void;
  readonly #peer = new PeerAddress();
  readonly #seat: ReturnType<TurnLoop["watch"]>;
  goesOn = false;
  #open = true;
  #isResting = false;

  constructor(
    fd: number,
    port: number,
    shared: DirectShared,
    options: DirectIoOptions,
    accept: (stream: Stream) => void,
  ) {
    this.#fd = fd;
    this.#port = port;
    this.#shared = shared;
    this.#options = options;
    this.#accept = accept;
    this.#seat = shared.loop.watch(fd, this);
  }

  onEvents(): void {
    if (!this.goesOn) this.onTurn();
  }

  onTurn(): void {
    if (!this.#open || this.#isResting) return;
    if (this.#take(acceptsPerTurnMax)) this.#shared.loop.goOn(this);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#take(acceptsAtCloseMax);
    this.#shared.loop.unwatch(this.#fd, this.#seat);
    // Whoever lent the socket closes it next, and may want the port.
    this.#shared.loop.settle();
  }

  /** True: there may be more. */
  #take(most: number): boolean {
    const { marks } = this.#shared.ledger;
    for (let i = 0; i < most; i++) {
      const got = acceptOne(this.#fd, this.#peer, marks);
      if (got >= 0) {
        this.#adopt(got);
        continue;
      }
      const refused = refusedBy(got);
      if (refused === Refused.Next) continue;
      if (refused === Refused.Short) this.#rest(errnoName(got));
      return false;
    }
    return true;
  }

  #adopt(fd: number): void {
    const stream = new DirectStream(this.#shared, {
      events: noEvents,
      connected: true,
      remoteAddress: peerText(this.#peer),
      remotePort: this.#peer.port,
      localPort: this.#port,
    });
    const trouble = stream.attach(fd);
    if (trouble === "") this.#accept(stream);
    else this.#options.onAcceptTrouble?.(`a connection to port ${this.#port} is lost: ${trouble}`);
  }

  #rest(code: string): void {
    this.#options.onAcceptTrouble?.(acceptTrouble(this.#port, code));
    if (!this.#open) return;
    this.#isResting = true;
    this.#options.after(acceptRestMs, () => {
      this.#isResting = false;
      this.onTurn();
    });
  }
}
