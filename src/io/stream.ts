// The Stream and Listener ports: what a session needs of a connection, and nothing more.
// Adapters: net/ (everywhere); io_uring comes later behind the same ports.
//
// Promises of every adapter:
// 1. Bytes handed to `onData` are a view into the adapter's buffer, valid only during that call.
// 2. `write` has taken what it was given when it returns: the caller may reuse its buffer at once.
// 3. `onClose` is called exactly once, last, and never from inside a call the session makes.
//    Nothing else is called after `destroy`.
// 4. After `onEnd` the stream can still write; after `end` it can still read (half-close).

/** Why a stream is gone. */
export type CloseReason =
  | "finished" // both directions ended in order
  | "reset" // the peer reset it, or it broke
  | "refused" // could not connect: nobody listens
  | "unreachable" // could not connect for another reason
  | "exhausted" // could not connect for want of something of our own: descriptors, ports, memory
  | "destroyed"; // we destroyed it

/** What happens to a stream; implemented by sessions. */
export interface StreamEvents {
  /** Only for streams that were dialled. */
  onConnect(): void;
  /** Received bytes: `bytes[start]` up to, not including, `bytes[end]`. */
  onData(bytes: Uint8Array, start: number, end: number): void;
  /** The peer will send no more. */
  onEnd(): void;
  /** The send queue, once over its high mark, is empty again. */
  onWritable(): void;
  onClose(reason: CloseReason, message: string): void;
}

/** Of a stream that nobody has taken yet. */
export const noEvents: StreamEvents = {
  onConnect() {},
  onData() {},
  onEnd() {},
  onWritable() {},
  onClose() {},
};

/** Between whom a connection is, as its own socket or a preface tells. */
export interface ConnectionEnds {
  /** "192.0.2.1" or "::1"; "" before it is known. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** As `remoteAddress`; "" also once the stream is gone. */
  readonly localAddress: string;
  readonly localPort: number;
}

/** Told of bytes that went past a session. */
export interface RelayEvents {
  /** So many bytes came in one go and are on their way to the target; never 0. */
  onRelayed(bytes: number): void;
}

export interface Stream extends ConnectionEnds {
  /** Who is told; a pooled upstream stream changes it. */
  events: StreamEvents;
  /** Sends a copy. False when the queue is over its high mark: stop until `onWritable`. */
  write(bytes: Uint8Array, start: number, end: number): boolean;
  /** Sends what is queued, then FIN. */
  end(): void;
  /** Closes at once; what is queued is lost. With `reset` the peer sees RST rather than FIN. */
  destroy(reset: boolean): void;
  /** Stops reading, so that the peer's sending stalls. */
  pause(): void;
  resume(): void;
  /** Bytes written and not yet taken by the kernel. */
  readonly queuedBytes: number;
  /**
   * Bytes written that the peer has not acknowledged, those that the kernel holds included; asks the
   * kernel. Where it cannot be asked, `queuedBytes`.
   */
  readonly unacknowledgedBytes: number;
  /**
   * From now on what the peer sends goes to `target` without coming here, behind what was written there; the target's
   * slowness stops the reading. `onEnd` and `onClose` are called as ever, and so is `onData`, with bytes to hand on, whenever
   * the kernel cannot move them. False: this stream cannot, all stays as it is. Absent: streams of this adapter cannot.
   */
  relayTo?(target: Stream, told: RelayEvents): boolean;
  /** What comes is told by `onData` again; what is on its way to the target arrives there. */
  stopRelay?(): void;
  /**
   * From now on the kernel asks the peer whether it is there when it was silent for so long; see keep-alive.ts. Absent: streams
   * of this adapter cannot.
   *
   * @param idleMs Rounded up to whole seconds.
   */
  keepAlive?(idleMs: number): void;
}

/** Accepts connections; opened from a loan. */
export interface Listener {
  /** Accepts what already waits in the queue, then no more; the socket itself is not closed. */
  close(): void;
}
