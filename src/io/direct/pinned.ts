// Where the bytes of large writes are: most of them come from the same buffer, one after the other.

import { type PinnedAddress, pin } from "../ffi.ts";

const noBytes: Uint8Array = new Uint8Array(0);
const last = { bytes: noBytes, at: 0 };

/** The address of long-lived bytes, as `pin` gives it; asked once for the same array as long as no other comes. */
export function pinned(bytes: Uint8Array): PinnedAddress {
  if (last.bytes !== bytes) {
    last.bytes = bytes;
    last.at = pin(bytes);
  }
  return last.at;
}
