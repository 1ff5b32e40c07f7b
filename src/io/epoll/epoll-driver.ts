// The Driver port on epoll(7): for kernels and containers that offer no io_uring.
//
// Knows: epoll's calls and the layout of its events. Does not know what a descriptor is for.

import type { Driver, Pieces } from "../direct/driver.ts";
import { lastErrno, libc, pin, SocketError } from "../ffi.ts";
import type { DescriptorLedger } from "../io.ts";
import { closeHeld, sendPinned } from "../sockets.ts";

// Values of the Linux ABI, the same on x64 and arm64 (include/uapi/linux/eventpoll.h).
const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 0x1;
const EPOLLPRI = 0x2;
const EPOLLOUT = 0x4;
const EPOLLRDHUP = 0x2000;
const EPOLLET = 0x80000000;
const EINTR = 4;

/** struct epoll_event is packed on x64 and nowhere else: its size, and where its 64 bits of data begin. */
const eventBytes = process.arch === "x64" ? 12 : 16;
const dataAt = process.arch === "x64" ? 4 : 8;
/** Events of one call. */
const eventsMax = 1024;

export class EpollDriver implements Driver {
  readonly name = "epoll";
  readonly #fd: number;
  readonly #ledger: DescriptorLedger;
  readonly #events = new DataView(new ArrayBuffer(eventBytes * eventsMax));
  readonly #eventsAt = pin(new Uint8Array(this.#events.buffer));
  readonly #wanted = new DataView(new ArrayBuffer(eventBytes));
  readonly #wantedAt = pin(new Uint8Array(this.#wanted.buffer));

  /** Throws SocketError. */
  constructor(ledger: DescriptorLedger) {
    this.#ledger = ledger;
    this.#fd = libc().epollCreate(EPOLL_CLOEXEC);
    if (this.#fd < 0) throw new SocketError("epoll_create1", lastErrno(), "for a worker");
    ledger.hold(this.#fd);
  }

  watch(fd: number, slot: number, generation: number): void {
    this.#wanted.setUint32(0, EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET, true);
    this.#wanted.setUint32(dataAt, slot, true);
    this.#wanted.setUint32(dataAt + 4, generation, true);
    if (libc().epollCtl(this.#fd, EPOLL_CTL_ADD, fd, this.#wantedAt) === 0) return;
    throw new SocketError("epoll_ctl", lastErrno(), `on descriptor ${fd}`);
  }

  /** Said to the kernel: a listening socket that was lent lives on, and would be told of for ever. */
  unwatch(fd: number): void {
    libc().epollCtl(this.#fd, EPOLL_CTL_DEL, fd, this.#wantedAt);
  }

  /** epoll lets go at once. */
  settle(): void {}

  wait(ms: number): number {
    const count = libc().epollWait(this.#fd, this.#eventsAt, eventsMax, ms);
    if (count >= 0) return count;
    const errno = lastErrno();
    if (errno === EINTR) return 0;
    throw new SocketError("epoll_wait", errno, `on descriptor ${this.#fd}`);
  }

  slotAt(index: number): number {
    return this.#events.getUint32(index * eventBytes + dataAt, true);
  }

  generationAt(index: number): number {
    return this.#events.getUint32(index * eventBytes + dataAt + 4, true);
  }

  /** The bits of epoll are those of poll. */
  eventsAt(index: number): number {
    return this.#events.getUint32(index * eventBytes, true);
  }

  sendAll(count: number, { fds, addresses, lengths, results }: Pieces): void {
    for (let i = 0; i < count; i++) {
      results[i] = sendPinned(fds[i]!, addresses[i]!, lengths[i]!);
    }
  }

  close(): void {
    closeHeld(this.#fd, this.#ledger);
  }
}
