// The Io port: how a worker gets Streams. One adapter per way of doing input and output.

import type { Listener, Stream, StreamEvents } from "./stream.ts";

/** Where to listen: a descriptor that was lent, or an address to listen on with reusePort. */
export interface ListenPlace {
  readonly address: string;
  readonly port: number;
  readonly fd: number | undefined;
}

/**
 * Who must know which descriptors this thread holds: raw ones outlive their thread, and what is held when it dies is closed
 * by another one. So what is held must be open, at every moment (docs/decisions/0031).
 */
export interface DescriptorLedger {
  /** At once when the descriptor is ours. */
  hold(fd: number): void;
  /** Right before it is closed. */
  drop(fd: number): void;
  /**
   * One bit per number, for whoever must hold without calling: number N has bit N % 32 of word N / 32. `hold` may follow. Larger
   * numbers have none, nor has a ledger that lacks this.
   */
  readonly marks?: Int32Array;
}

/** And what it has mapped of descriptors: as long as that is mapped they are open, whoever closes them. */
export interface ThreadLedger extends DescriptorLedger {
  holdMapping(address: number, length: number): void;
  dropMapping(address: number): void;
}

/** What every adapter is made with. */
export interface IoOptions {
  /** Runs an action once after some ms. */
  readonly after: (delayMs: number, action: () => void) => () => void;
  readonly receiveBytes: number;
  readonly sendQueueBytesHigh: number;
  /** What the kernel takes towards a backend without being able to send it; undefined: what it likes. */
  readonly unsentBytesMax: number | undefined;
  /** Told whenever accepting had to rest, with the cause. */
  readonly onAcceptTrouble?: (message: string) => void;
}

export interface Io {
  /** For the ready line and the metrics. */
  readonly name: string;
  /** `accept` gets every new connection and must set its `events` before it returns. */
  listen(place: ListenPlace, accept: (stream: Stream) => void): Promise<Listener>;
  /** Starts to connect; the outcome comes as `onConnect` or `onClose`, never from inside this call. */
  dial(host: string, port: number, events: StreamEvents): Stream;
}
