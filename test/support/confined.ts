// A program: runs another one under a seccomp filter that refuses system calls, as containers do.
// Usage: node confined.ts CALL=ERRNO[,CALL=ERRNO] PROGRAM ARGUMENT...

import { lastErrno, libc, pin, SocketError } from "../../src/io/ffi.ts";

// Values of the Linux ABI (include/uapi/linux/{prctl,seccomp,filter,bpf_common}.h); prctl has a number for each architecture.
const prctl = process.arch === "x64" ? 157 : 167;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_SET_SECCOMP = 22;
const SECCOMP_MODE_FILTER = 2;
const SECCOMP_RET_ERRNO = 0x0005_0000;
const SECCOMP_RET_ALLOW = 0x7fff_0000;
const BPF_LD_W_ABS = 0x20;
const BPF_JEQ_K = 0x15;
const BPF_RET_K = 0x06;

/** struct sock_filter: code (16 bits), jump if true and if false (8 each), k (32). */
function instruction(code: number, ifTrue: number, ifFalse: number, k: number): number[] {
  return [code | (ifTrue << 16) | (ifFalse << 24), k];
}

function refuse(calls: readonly (readonly [call: number, errno: number])[]): void {
  const program = Uint32Array.from([
    // struct seccomp_data begins with the call's number.
    ...instruction(BPF_LD_W_ABS, 0, 0, 0),
    ...calls.flatMap(([call, errno]) => [
      ...instruction(BPF_JEQ_K, 0, 1, call),
      ...instruction(BPF_RET_K, 0, 0, SECCOMP_RET_ERRNO | errno),
    ]),
    ...instruction(BPF_RET_K, 0, 0, SECCOMP_RET_ALLOW),
  ]);
  const at = pin(new Uint8Array(program.buffer));
  // struct sock_fprog: the count (16 bits, then padding), the address.
  const described = new DataView(new ArrayBuffer(16));
  described.setUint16(0, program.length / 2, true);
  described.setBigUint64(8, BigInt(at), true);
  const describedAt = pin(new Uint8Array(described.buffer));
  control(PR_SET_NO_NEW_PRIVS, 1, 0);
  control(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, describedAt);
}

function control(what: number, first: number, second: number): void {
  if (libc().syscall(prctl, what, first, second, 0, 0, 0) === 0) return;
  throw new SocketError("prctl", lastErrno(), `${what}`);
}

const [calls = "", command = "", ...words] = process.argv.slice(2);
refuse(
  calls.split(",").map((text) => {
    const [call = 0, errno = 0] = text.split("=").map(Number);
    return [call, errno];
  }),
);
process.removeAllListeners("warning");
process.execve?.(command, [command, ...words], process.env);
