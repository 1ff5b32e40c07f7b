// Numbers and memory layout of io_uring: what the kernel calls things, and where they lie.
//
// Knows: include/uapi/linux/io_uring.h and the system call tables. Does not know: what is done with them; see ring.ts.
//
// Checked by hand against the header of Linux 6.1.192 (Debian's linux-libc-dev 6.1.192-2). IORING_SETUP_NO_SQARRAY is younger:
// its bit is from excerpts of later headers, and a kernel that does not know it is tried without. The version in brackets is the one that brought a thing. x64 and arm64 have
// the same: all fields are of fixed width and naturally aligned, and both are little endian, which is checked when this file
// is loaded. It has run on x64 only.

/** System calls (include/uapi/asm-generic/unistd.h and arch/x86/entry/syscalls/syscall_64.tbl: the same numbers) [5.1]. */
export const SYS_io_uring_setup = 425;
export const SYS_io_uring_enter = 426;

/** `struct io_uring_params`, 120 bytes; offsets in bytes. All fields are __u32. */
export const params = {
  bytes: 120,
  sqEntries: 0,
  cqEntries: 4,
  flags: 8,
  features: 20,
  /** `struct io_sqring_offsets` begins at 40: where in the mapping things lie. */
  sqHead: 40,
  sqTail: 44,
  sqMask: 48,
  sqFlags: 56,
  /** Absent (0) with IORING_SETUP_NO_SQARRAY. */
  sqArray: 64,
  /** `struct io_cqring_offsets` begins at 80. */
  cqHead: 80,
  cqTail: 84,
  cqMask: 88,
  cqOverflow: 96,
  cqes: 100,
} as const;

/** io_uring_setup(2): `params.flags`. */
export const Setup = {
  /** `cqEntries` is ours [5.5]. */
  CqSize: 1 << 3,
  /** One entry that is wrong does not stop those behind it [5.18]. */
  SubmitAll: 1 << 7,
  /** One thread submits: this one [6.0]. */
  SingleIssuer: 1 << 12,
  /** Completions are made when we ask for them, and never in between [6.1]. */
  DeferTaskrun: 1 << 13,
  /** Entries are taken in the order of the ring, without an array of indices [6.6]. */
  NoSqArray: 1 << 16,
} as const;

/** `params.features`, the kernel's answer. */
export const Feature = {
  /** Both rings lie in one mapping [5.4]. */
  SingleMmap: 1 << 0,
  /** Completions that find no room are kept [5.5]. */
  NoDrop: 1 << 1,
  /** io_uring_enter takes a time limit [5.11]. */
  ExtArg: 1 << 8,
  /** IOSQE_CQE_SKIP_SUCCESS [5.17]. */
  CqeSkip: 1 << 11,
} as const;

/** `struct io_uring_sqe`, 64 bytes; indices of 32-bit words. What is not named stays 0. */
export const sqe = {
  bytes: 64,
  words: 16,
  /** opcode (8 bits), flags (8), ioprio (16). */
  opcodeFlags: 0,
  fd: 1,
  /** Low and high half. */
  address: 4,
  length: 6,
  /** poll32_events, msg_flags, cancel_flags: one union. */
  opFlags: 7,
  userDataLow: 8,
  userDataHigh: 9,
} as const;

/** `struct io_uring_cqe`, 16 bytes; indices of 32-bit words. */
export const cqe = {
  bytes: 16,
  words: 4,
  userDataLow: 0,
  userDataHigh: 1,
  result: 2,
  flags: 3,
} as const;

/** `enum io_uring_op`. */
export const Op = {
  /** [5.1], multishot [5.13]. */
  PollAdd: 6,
  /** [5.5] */
  AsyncCancel: 14,
  /** [5.6] */
  Send: 26,
} as const;

/** `sqe.flags`: no completion where the operation succeeds [5.17]. */
export const SQE_CQE_SKIP_SUCCESS = 1 << 6;

/** `sqe.len` of IORING_OP_POLL_ADD: tells of every change, not of the first only [5.13]. */
export const POLL_ADD_MULTI = 1 << 0;

/** `sqe.cancel_flags` [5.19]: everything that matches, and everything there is. */
export const CANCEL_ALL = 1 << 0;
export const CANCEL_ANY = 1 << 2;

/** `cqe.flags`: the operation goes on and completes again [5.13]. */
export const CQE_MORE = 1 << 1;

/** The submission ring's flags: completions wait that found no room [5.8]. */
export const SQ_CQ_OVERFLOW = 1 << 1;

/** io_uring_enter(2). */
export const Enter = {
  /** Completions are made, and waited for [5.1]. */
  GetEvents: 1 << 0,
  /** The argument is a `struct io_uring_getevents_arg` [5.11]. */
  ExtArg: 1 << 3,
} as const;

/** `struct io_uring_getevents_arg`, 24 bytes; offsets in bytes. */
export const getEventsArg = {
  bytes: 24,
  /** No mask: 0. */
  signalMask: 0,
  /** Low and high half of the address of a `struct __kernel_timespec`: seconds and nanoseconds, __s64 each. */
  timespec: 16,
} as const;

/** mmap(2): offsets of the rings and of the submission entries. */
export const OFFSET_RINGS = 0;
export const OFFSET_SQES = 0x1000_0000;

/** mmap(2), include/uapi/asm-generic/mman-common.h and mman.h: the same on x64 and arm64. */
export const PROT_READ_WRITE = 0x1 | 0x2;
export const MAP_SHARED_POPULATE = 0x1 | 0x8000;
export const MAP_PRIVATE_ANONYMOUS = 0x2 | 0x20;

/** send(2), include/linux/socket.h. */
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;

/** Error numbers that mean something here (include/uapi/asm-generic/errno.h and errno-base.h). */
export const Errno = {
  EPERM: 1,
  EINTR: 4,
  EAGAIN: 11,
  ENOMEM: 12,
  EBUSY: 16,
  EINVAL: 22,
  ENOSYS: 38,
  /** Completions were lost: the kernel had no memory to keep them. */
  EBADR: 53,
  ETIME: 62,
  ECANCELED: 125,
} as const;

/** True where the words of the rings are in the order in which we read them. */
export const littleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

if (!littleEndian) throw new Error("io_uring is read as little endian, and this machine is not");
