// Whether the kernel lets this process use io_uring as our driver does: every operation and flag is tried on a small ring.
//
// Knows: what may be missing, since which version it is there, who forbids it. Does not know: what is done instead.
//
// Why tried and not asked: a version number says nothing about a distribution's patches, and nothing about seccomp.

import {
  errnoName,
  eventLoopFd,
  ffiUnavailableReason,
  lastErrno,
  libc,
  pin,
  SocketError,
} from "../ffi.ts";
import { CQE_MORE, Errno } from "./layout.ts";
import { type EnterCall, Ring } from "./ring.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const POLLIN = 0x1;
const Kind = { Poll: 1, Cancel: 2, Send: 3 } as const;

/** More than a local socket takes at once. */
const tooManyBytes = 8 * 1024 * 1024;

/** What a refused io_uring_setup(2) means. */
const setupMeans: Readonly<Record<string, string>> = {
  ENOSYS: "the kernel has no io_uring: it is older than 5.1, or built or confined without it",
  EPERM: "the kernel or the container forbids it (kernel.io_uring_disabled, seccomp)",
  EACCES: "a security module forbids it",
  EINVAL: "no IORING_SETUP_DEFER_TASKRUN: the kernel is older than 6.1",
  ENOMEM: "no memory for a ring (the container's limit, or RLIMIT_MEMLOCK)",
  EMFILE: "the process has no descriptor left",
  ENFILE: "the system has no descriptor left",
};

/** Why io_uring cannot be used here, in words; undefined: it can. `enter` stands in for the kernel in tests. */
export function uringMissing(enter?: EnterCall): string | undefined {
  const reason = ffiUnavailableReason();
  if (reason !== undefined) return reason;
  let ring: Ring;
  try {
    const sizes = { submissions: 8, completions: 16 };
    ring = Ring.open(enter === undefined ? sizes : { ...sizes, enter });
  } catch (error) {
    return setupReason(error);
  }
  try {
    eventLoopFd();
    return missingIn(ring);
  } catch (error) {
    return messageOf(error);
  } finally {
    ring.close();
  }
}

function setupReason(error: unknown): string {
  if (!(error instanceof SocketError)) return messageOf(error);
  const means = setupMeans[error.code];
  const refused = error.message.startsWith("io_uring_setup of a ring");
  return refused && means !== undefined ? `io_uring_setup: ${error.code}: ${means}` : error.message;
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** The ring with two connected ends to try it on. */
interface Bench {
  readonly ring: Ring;
  readonly near: number;
  readonly far: number;
  readonly epoll: number;
}

/** Each answers what came instead of what should; "" when all is well. */
const trials: readonly (readonly [
  name: string,
  since: string,
  attempt: (bench: Bench) => string,
])[] = [
  ["io_uring_enter with a time limit", "5.11", waitsInTime],
  ["multishot poll of a socket", "5.13", (bench) => pollsAgain(bench, bench.near)],
  ["multishot poll of an epoll descriptor", "5.13", (bench) => pollsAgain(bench, bench.epoll)],
  ["cancelling by user data, silently", "5.19", cancels],
  ["sends that end at once", "5.6", sendsAtOnce],
];

function missingIn(ring: Ring): string | undefined {
  const ends = new Int32Array(2);
  const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  if (libc().socketpair(AF_UNIX, type, 0, ends) < 0) {
    return new SocketError("socketpair", lastErrno(), "to try a ring on").message;
  }
  const epoll = libc().epollCreate(EPOLL_CLOEXEC);
  try {
    const event = new Uint8Array(16);
    event[0] = POLLIN;
    if (libc().epollCtl(epoll, EPOLL_CTL_ADD, ends[0]!, pin(event)) < 0) {
      return new SocketError("epoll_ctl", lastErrno(), "to try a ring on").message;
    }
    const bench = { ring, near: ends[0]!, far: ends[1]!, epoll };
    for (const [name, since, attempt] of trials) {
      const came = attempt(bench);
      if (came !== "") return `${name}: ${came} (there since Linux ${since})`;
    }
    return undefined;
  } finally {
    for (const fd of [...ends, epoll]) libc().close(fd);
  }
}

function waitsInTime({ ring }: Bench): string {
  const answer = ring.wait(1);
  return answer === -Errno.ETIME ? "" : said(answer);
}

/** Twice, in the same watch. */
function pollsAgain(bench: Bench, fd: number): string {
  const { ring } = bench;
  ring.poll(fd, POLLIN, Kind.Poll, 1, 1);
  for (const _ of [1, 2]) {
    sendByte(bench);
    ring.wait(0);
    if (!ring.next()) return "nothing came";
    if (ring.kind !== Kind.Poll || ring.result !== POLLIN) return said(ring.result);
    if ((ring.flags & CQE_MORE) === 0) return "it ended by itself";
    receiveBytes(bench);
  }
  ring.cancel(Kind.Poll, 1, 1, Kind.Cancel);
  ring.wait(0);
  while (ring.next());
  return "";
}

function cancels({ ring, near }: Bench): string {
  ring.poll(near, POLLIN, Kind.Poll, 2, 7);
  ring.wait(0);
  ring.cancel(Kind.Poll, 2, 7, Kind.Cancel);
  ring.wait(0);
  if (!ring.next()) return "nothing came";
  if (ring.kind !== Kind.Poll || ring.result !== -Errno.ECANCELED) return said(ring.result);
  return ring.next() ? "it was not silent" : "";
}

/** Also where the socket takes a part, and nothing. */
function sendsAtOnce({ ring, near }: Bench): string {
  const bytes = pin(new Uint8Array(tooManyBytes));
  for (const slot of [1, 2]) ring.send(near, bytes, tooManyBytes, Kind.Send, slot, 1);
  const answer = ring.submit();
  if (answer !== 0) return said(answer);
  if (!ring.next()) return "nothing came";
  if (ring.result <= 0 || ring.result >= tooManyBytes) return said(ring.result);
  if (!ring.next()) return "nothing came from a full socket";
  return ring.result === -Errno.EAGAIN ? "" : `from a full socket ${said(ring.result)}`;
}

const said = (result: number): string => (result < 0 ? errnoName(result) : `${result} came`);

const byte = new Uint8Array(8);

function sendByte({ far }: Bench): void {
  libc().send(far, pin(byte), 1, 0);
}

function receiveBytes({ near }: Bench): void {
  libc().recv(near, pin(byte), byte.byteLength, 0);
}
