// Date (RFC 9110 section 6.6.1) for answers that have none: our own, and those of backends, where whoever
// forwards an answer with a clock at hand has to add the time at which it came.
//
// Interim answers get none: there the field is left to whoever made them.

import { ascii } from "./byte-writer.ts";

/** "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" of the last second that was asked for. */
const line = { second: -1, bytes: ascii("") };

/** The whole line, made once a second. @param wallMs ms since the epoch */
export function dateLineAt(wallMs: number): Uint8Array {
  const second = Math.floor(wallMs / 1_000);
  if (second !== line.second) {
    line.second = second;
    // The form of section 5.6.7, IMF-fixdate, is what toUTCString gives.
    line.bytes = ascii(`Date: ${new Date(second * 1_000).toUTCString()}\r\n`);
  }
  return line.bytes;
}
