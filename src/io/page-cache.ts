// Asks the kernel to forget what it caches of a file: posix_fadvise with POSIX_FADV_DONTNEED.
//
// Knows: the call. Does not know: what the file is for.
//
// Pages that are on the disk are dropped; those that are not yet are begun to be written and stay.
// It is advice: where libc cannot be called, or the kernel does not follow, nothing is lost.

import { ffiAvailable, libc } from "./ffi.ts";

/** POSIX_FADV_DONTNEED of Linux on x64 and arm64. */
const dontNeed = 4;

/** Resolves, never rejects, once the kernel has taken the advice; a slow disk may hold up a thread of the pool. */
export function dropCached(fd: number, offset: number, length: number): Promise<void> {
  if (!ffiAvailable()) return Promise.resolve();
  return new Promise((resolve) => {
    libc().posixFadvise.async(fd, offset, length, dontNeed, () => resolve());
  });
}
