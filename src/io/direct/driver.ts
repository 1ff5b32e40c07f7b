// The Driver port: what the direct adapter needs of the kernel besides calls on single descriptors. Drivers: epoll/, uring/.
//
// A driver tells, in batches, which descriptors became readable or writable, and sends a turn's pieces. It never
// touches the bytes of a connection after a call has returned: what is handed to `sendAll` is the caller's again.

/** What happened to a descriptor: bits, those of poll(2) and epoll(7), the same on x64 and arm64. */
export const Event = {
  /** Bytes, a connection to accept, or the end of the peer's sending: read until there is nothing more. */
  Readable: 0x1,
  /** There is a mark of urgent data, where every read stops (POLLPRI; tcp(7)). Only of drivers that know it for sure. */
  Urgent: 0x2,
  Writable: 0x4,
  /** It broke; the next call on it says how. */
  Error: 0x8,
  /** Both directions are over. */
  HangUp: 0x10,
  /** The peer sends no more (POLLRDHUP): reading must go on until it is told. */
  PeerEnded: 0x2000,
} as const;

/**
 * Whoever watches has a slot, a small whole number that is used again, and a generation, which tells apart those that had the
 * slot one after the other: events may come late. Both are below 2^28 and 2^30.
 */
export interface Driver {
  readonly name: "uring" | "epoll";
  /**
   * Tells of every change of the descriptor from now on, both directions, and of what is so already: once each time (edge
   * triggered), sometimes for nothing. Throws SocketError (out of memory, too many).
   */
  watch(fd: number, slot: number, generation: number): void;
  /** Nothing is asked of the descriptor any more; call it before the descriptor is closed. Events may still come late. */
  unwatch(fd: number, slot: number, generation: number): void;
  /** What was unwatched is let go of by the kernel when this returns; else it is with the next `wait`. */
  settle(): void;
  /** Waits until something happened, but `ms` at most (0: not at all), and answers how many events can be read. */
  wait(ms: number): number;
  /** Of event `index` of the last `wait`. */
  slotAt(index: number): number;
  generationAt(index: number): number;
  /** Bits of `Event`. */
  eventsAt(index: number): number;
  /**
   * Sends `count` pieces, each as send(2) with MSG_DONTWAIT and MSG_NOSIGNAL would, in order; `results` get the bytes that were
   * taken or negative errnos (-EAGAIN: nothing). All are done when it returns.
   */
  sendAll(count: number, pieces: Pieces): void;
  /** Gives everything back to the kernel. Nothing may be called after it. */
  close(): void;
}

/** Parallel arrays: one piece per index. */
export interface Pieces {
  readonly fds: Int32Array;
  /** Memory addresses (ffi.ts). */
  readonly addresses: Float64Array;
  readonly lengths: Int32Array;
  readonly results: Int32Array;
}
