// The memory of one io_uring: asks the kernel for a ring and maps it.
//
// Knows: io_uring_setup(2), mmap(2), where in the mappings things lie. Does not know: what entries and completions mean; see
// ring.ts.

import { lastErrno, libc, mappedBytes, type PinnedAddress, SocketError } from "../ffi.ts";
import type { ThreadLedger } from "../io.ts";
import {
  cqe,
  Errno,
  Feature,
  getEventsArg,
  MAP_PRIVATE_ANONYMOUS,
  MAP_SHARED_POPULATE,
  OFFSET_RINGS,
  OFFSET_SQES,
  PROT_READ_WRITE,
  params,
  Setup,
  SYS_io_uring_setup,
  sqe,
} from "./layout.ts";

/** What every ring is asked for; IORING_SETUP_NO_SQARRAY besides, where the kernel knows it. */
const setupFlags = Setup.CqSize | Setup.SubmitAll | Setup.SingleIssuer | Setup.DeferTaskrun;
const featuresNeeded = Feature.SingleMmap | Feature.NoDrop | Feature.ExtArg | Feature.CqeSkip;

export interface RingSizes {
  /** Entries that wait to be submitted, and completions that wait to be read: powers of two, the second at least twice the first. */
  readonly submissions: number;
  readonly completions: number;
  /** False where an array of indices is to be used, as before Linux 6.6. */
  readonly withoutArray?: boolean;
  /** Who must know the ring's descriptor and what is mapped of it. */
  readonly ledger?: ThreadLedger;
}

/** Places in the mapped rings, as indices of 32-bit words. */
export interface RingPlaces {
  readonly sqTail: number;
  readonly sqMask: number;
  readonly sqFlags: number;
  readonly cqHead: number;
  readonly cqTail: number;
  readonly cqMask: number;
  readonly cqes: number;
}

interface Mapping {
  readonly address: PinnedAddress;
  readonly length: number;
}

/** What a ring holds of the system. */
class Holdings {
  readonly #ledger: ThreadLedger | undefined;
  readonly #maps: Mapping[] = [];
  #fd = -1;

  constructor(ledger: ThreadLedger | undefined) {
    this.#ledger = ledger;
  }

  get closed(): boolean {
    return this.#maps.length === 0;
  }

  hold(fd: number): void {
    this.#fd = fd;
    this.#ledger?.hold(fd);
  }

  /** Memory that the kernel sees as well; without a descriptor: zeroes of our own. */
  map(length: number, fd = -1, offset = 0): Mapping {
    const flags = fd < 0 ? MAP_PRIVATE_ANONYMOUS : MAP_SHARED_POPULATE;
    const address = libc().mmap(0, length, PROT_READ_WRITE, flags, fd, offset);
    if (address < 0) throw new SocketError("mmap", lastErrno(), `${length} bytes of a ring`);
    this.#maps.push({ address, length });
    this.#ledger?.holdMapping(address, length);
    return { address, length };
  }

  close(): void {
    for (const { address, length } of this.#maps.splice(0)) {
      this.#ledger?.dropMapping(address);
      libc().munmap(address, length);
    }
    if (this.#fd < 0) return;
    this.#ledger?.drop(this.#fd);
    libc().close(this.#fd);
    this.#fd = -1;
  }
}

/** Where in the scratch page the argument of io_uring_enter and its time limit lie; in front are the params. */
const getEventsAt = 128;
const timespecAt = 192;
const scratchBytes = 4096;

/** A ring that is open: its descriptor and its memory. */
export class RingMemory {
  readonly fd: number;
  readonly submissions: number;
  readonly at: RingPlaces;
  /** Both rings, and the submission entries. Empty once it is closed: nobody may touch what is not mapped. */
  words: Int32Array;
  sqes: Int32Array;
  readonly #scratch: Scratch;
  readonly #holdings: Holdings;

  /** Throws SocketError: the code and message of io_uring_setup(2) or mmap(2). */
  static open(sizes: RingSizes): RingMemory {
    checkSizes(sizes);
    const holdings = new Holdings(sizes.ledger);
    try {
      const scratch = new Scratch(holdings.map(scratchBytes));
      const array = sizes.withoutArray === false;
      let fd = setUp(scratch, sizes, array ? 0 : Setup.NoSqArray);
      // Before 6.6 the flag is unknown: entries are then found by an array of indices.
      if (fd === -Errno.EINVAL && !array) fd = setUp(scratch, sizes, 0);
      if (fd < 0) throw new SocketError("io_uring_setup", fd, "of a ring");
      holdings.hold(fd);
      checkFeatures(scratch);
      return new RingMemory(fd, scratch, holdings);
    } catch (error) {
      holdings.close();
      throw error;
    }
  }

  private constructor(fd: number, scratch: Scratch, holdings: Holdings) {
    this.fd = fd;
    this.#scratch = scratch;
    this.#holdings = holdings;
    this.submissions = scratch.word(params.sqEntries);
    this.at = placesIn(scratch);
    const { words, sqes } = mapRings(holdings, fd, scratch);
    this.words = words;
    this.sqes = sqes;
    const timespec = scratch.address + timespecAt;
    scratch.word(getEventsAt + getEventsArg.timespec, timespec % 2 ** 32);
    scratch.word(getEventsAt + getEventsArg.timespec + 4, Math.floor(timespec / 2 ** 32));
  }

  /** The argument of an io_uring_enter(2) that waits `ms` at most, a whole number. */
  timeLimit(ms: number): PinnedAddress {
    this.#scratch.word(timespecAt, Math.floor(ms / 1000));
    this.#scratch.word(timespecAt + 8, (ms % 1000) * 1_000_000);
    return this.#scratch.address + getEventsAt;
  }

  get closed(): boolean {
    return this.#holdings.closed;
  }

  close(): void {
    this.words = new Int32Array(0);
    this.sqes = new Int32Array(0);
    this.#holdings.close();
  }
}

/** A page that calls read their structures from. */
class Scratch {
  readonly address: PinnedAddress;
  readonly #view: DataView;

  constructor({ address, length }: Mapping) {
    this.address = address;
    this.#view = new DataView(mappedBytes(address, length));
  }

  /** Reads, or writes and answers, 32 bits at an offset in bytes. */
  word(at: number, value?: number): number {
    if (value !== undefined) this.#view.setUint32(at, value, true);
    return this.#view.getUint32(at, true);
  }
}

/** The ring's descriptor (close-on-exec by itself) or a negative errno. */
function setUp(scratch: Scratch, sizes: RingSizes, more: number): number {
  for (let at = 0; at < params.bytes; at += 4) scratch.word(at, 0);
  scratch.word(params.cqEntries, sizes.completions);
  scratch.word(params.flags, setupFlags | more);
  const { submissions } = sizes;
  const fd = libc().syscall(SYS_io_uring_setup, submissions, scratch.address, 0, 0, 0, 0);
  return fd < 0 ? -lastErrno() : fd;
}

function checkSizes({ submissions, completions }: RingSizes): void {
  for (const size of [submissions, completions]) {
    const power =
      Number.isInteger(size) && size >= 1 && size <= 65_536 && (size & (size - 1)) === 0;
    if (!power) throw wrong(`${size} entries are no power of two from 1 to 65536`);
  }
  if (completions < 2 * submissions) {
    throw wrong(`${completions} completions are fewer than twice ${submissions} submissions`);
  }
}

function checkFeatures(scratch: Scratch): void {
  const lacks = featuresNeeded & ~scratch.word(params.features);
  if (lacks !== 0) {
    throw new SocketError("io_uring_setup", Errno.EINVAL, `lacks features 0x${lacks.toString(16)}`);
  }
}

function placesIn(scratch: Scratch): RingPlaces {
  return {
    sqTail: scratch.word(params.sqTail) >>> 2,
    sqMask: scratch.word(params.sqEntries) - 1,
    sqFlags: scratch.word(params.sqFlags) >>> 2,
    cqHead: scratch.word(params.cqHead) >>> 2,
    cqTail: scratch.word(params.cqTail) >>> 2,
    cqMask: scratch.word(params.cqEntries) - 1,
    cqes: scratch.word(params.cqes) >>> 2,
  };
}

function mapRings(
  holdings: Holdings,
  fd: number,
  scratch: Scratch,
): { words: Int32Array; sqes: Int32Array } {
  const submissions = scratch.word(params.sqEntries);
  const array = scratch.word(params.sqArray);
  const cqesEnd = scratch.word(params.cqes) + scratch.word(params.cqEntries) * cqe.bytes;
  const length = Math.max(cqesEnd, array === 0 ? 0 : array + submissions * 4);
  const rings = holdings.map(length, fd, OFFSET_RINGS);
  const entries = holdings.map(submissions * sqe.bytes, fd, OFFSET_SQES);
  const words = new Int32Array(mappedBytes(rings.address, length & ~3));
  if (array !== 0) {
    for (let index = 0; index < submissions; index++) words[(array >>> 2) + index] = index;
  }
  return { words, sqes: new Int32Array(mappedBytes(entries.address, entries.length)) };
}

const wrong = (what: string): SocketError => new SocketError("io_uring", Errno.EINVAL, what);
