// Memory in which a worker writes access-log lines and the main thread reads them, page by page:
// nothing is copied, nothing is allocated, and a log that is not taken away fast enough is full.
//
// A page belongs to the worker from `take` on, to the main thread once the worker has told its
// number, and is free again after `release`. The page's state is the only word both sides write.

import { accessLogPageBytes, accessLogPagesMax } from "../limits.ts";

const State = { Free: 0, Taken: 1 } as const;
const statesBytes = accessLogPagesMax * Int32Array.BYTES_PER_ELEMENT;

export const logPagesByteLength = statesBytes + accessLogPagesMax * accessLogPageBytes;

export class LogPages {
  readonly #states: Int32Array;
  readonly #pages: readonly Uint8Array[];
  readonly #views: readonly DataView[];

  /** @param memory `logPagesByteLength` bytes, zeroed when they are new. */
  constructor(memory: SharedArrayBuffer) {
    this.#states = new Int32Array(memory, 0, accessLogPagesMax);
    this.#pages = Array.from(
      { length: accessLogPagesMax },
      (_, page) =>
        new Uint8Array(memory, statesBytes + page * accessLogPageBytes, accessLogPageBytes),
    );
    this.#views = this.#pages.map(
      ({ buffer, byteOffset, length }) => new DataView(buffer, byteOffset, length),
    );
  }

  /**
   * A free page's number, now the caller's; -1 when none is free. The lowest, which is the one that
   * was used last and is still in the processor's cache.
   */
  take(): number {
    for (let page = 0; page < accessLogPagesMax; page++) {
      const before = Atomics.compareExchange(this.#states, page, State.Free, State.Taken);
      if (before === State.Free) return page;
    }
    return -1;
  }

  bytesOf(page: number): Uint8Array {
    return this.#pages[page]!;
  }

  viewOf(page: number): DataView {
    return this.#views[page]!;
  }

  release(page: number): void {
    Atomics.store(this.#states, page, State.Free);
  }
}
