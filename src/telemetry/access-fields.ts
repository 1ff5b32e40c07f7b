// The fields of an access-log line: their names, and their keys as bytes that are ready to be copied.
//
// Does not know: what stands in them, or who writes them.

import { type Piece, pieceOf } from "./line-bytes.ts";

/** The ready text `,"name":`, or `,"name":"` before a text. */
export interface AccessKey {
  readonly name: string;
  readonly plain: Piece;
  readonly quoted: Piece;
}

/** Encodes a key once, at start. */
export function accessKey(name: string): AccessKey {
  const plain = `,${JSON.stringify(name)}:`;
  return { name, plain: pieceOf(plain), quoted: pieceOf(`${plain}"`) };
}

/** Whole fields whose values never change, encoded once, at start. ASCII only. */
export function fieldsOf(values: Readonly<Record<string, string>>): Piece {
  return pieceOf(`,${JSON.stringify(values).slice(1, -1)}`);
}

/** The fields of a line after `time`, in the order in which the session writes them. */
export const AccessField = {
  client: accessKey("client"),
  method: accessKey("method"),
  host: accessKey("host"),
  path: accessKey("path"),
  status: accessKey("status"),
  bytesIn: accessKey("bytes_in"),
  bytesOut: accessKey("bytes_out"),
  durationMs: accessKey("duration_ms"),
  queuedMs: accessKey("queued_ms"),
  route: accessKey("route"),
  service: accessKey("service"),
  backend: accessKey("backend"),
  tries: accessKey("tries"),
  revision: accessKey("revision"),
  reason: accessKey("reason"),
  retries: accessKey("retries"),
  requestId: accessKey("request_id"),
  protocol: accessKey("protocol"),
} as const;
