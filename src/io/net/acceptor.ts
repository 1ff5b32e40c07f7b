// Accepts from a lent listening socket, a few at a time, and rests while there are no descriptors.
//
// Knows: accept(2) and its errors. Does not know what becomes of a connection.

import { acceptRestMs, acceptsPerTurnMax, Refused, refusedBy } from "../accepting.ts";
import { errnoName, SocketError } from "../ffi.ts";
import { PeerAddress } from "../sockets.ts";
import type { Listener } from "../stream.ts";
import { acceptWatched, watchHasDescriptors, watchReadable } from "./accept-watch.ts";

export interface AcceptorOptions {
  /** Runs an action once after some ms. */
  readonly after: (delayMs: number, action: () => void) => () => void;
  /** Gets every connection; its descriptor is the callee's. */
  readonly adopt: (fd: number, peer: PeerAddress) => void;
  /** Told whenever accepting has to rest: "EMFILE" and the like. */
  readonly trouble: (code: string) => void;
}

export class Acceptor implements Listener {
  readonly #fd: number;
  readonly #options: AcceptorOptions;
  readonly #peer = new PeerAddress();
  #watch: { close(): void } | undefined;
  #open = true;
  /** The largest descriptor so far: below it there was room before. */
  #highest = 0;
  #wasShort = false;

  /** Throws SocketError when there is no descriptor for the watch. */
  constructor(fd: number, options: AcceptorOptions) {
    this.#fd = fd;
    this.#options = options;
    this.#watch = watchReadable(fd, this.#takeWatched);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#take(Number.MAX_SAFE_INTEGER);
    this.#watch?.close();
  }

  /** libuv takes the next one from the queue: before it could find no descriptor, the watch ends. */
  readonly #takeWatched = (): void => {
    const before = this.#highest;
    if (!this.#take(acceptsPerTurnMax)) return;
    const mayBeShort = this.#wasShort || this.#highest > before;
    if (mayBeShort && !watchHasDescriptors(this.#fd)) this.#rest("EMFILE");
  };

  /** Whoever waits is accepted from here before libuv is let near them again. */
  readonly #goOn = (): void => {
    if (!this.#open || !this.#take(acceptsPerTurnMax)) return;
    try {
      this.#watch = watchReadable(this.#fd, this.#takeWatched);
    } catch (error) {
      if (!(error instanceof SocketError)) throw error;
      return this.#rest(error.code);
    }
    if (!watchHasDescriptors(this.#fd)) this.#rest("EMFILE");
  };

  /** False: there are no descriptors left, and accepting rests. */
  #take(most: number): boolean {
    for (let i = 0; i < most; i++) {
      const got = acceptWatched(this.#fd, this.#peer);
      if (got >= 0) {
        if (got > this.#highest) this.#highest = got;
        this.#options.adopt(got, this.#peer);
        continue;
      }
      const refused = refusedBy(got);
      if (refused === Refused.Next) continue;
      if (refused === Refused.Short) this.#rest(errnoName(got));
      return refused === Refused.Empty;
    }
    return true;
  }

  #rest(code: string): void {
    this.#wasShort = true;
    this.#watch?.close();
    this.#watch = undefined;
    this.#options.trouble(code);
    if (this.#open) this.#options.after(acceptRestMs, this.#goOn);
  }
}
