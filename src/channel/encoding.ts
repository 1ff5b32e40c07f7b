// A snapshot as bytes that every worker reads from the same memory.
//
// JSON text in shared memory, not structured clones: a clone costs every worker the whole table on the
// main thread; shared bytes cost it once. Pieces, so that no turn of a worker's event loop is long.

import { snapshotPieceChangesMax } from "../limits.ts";
import type { Change, Snapshot } from "../model/change.ts";

/** Pieces for the `snapshot` message: services, then routes, then backends, all of them puts. */
export function encodeSnapshot(snapshot: Snapshot): Uint8Array[] {
  return [
    ...piecesOf(snapshot.services, (service) => ({ kind: "service-put", service })),
    ...piecesOf(snapshot.routes, (route) => ({ kind: "route-put", route })),
    ...piecesOf(snapshot.backends, (backend) => ({ kind: "backend-put", backend })),
  ];
}

/** The inverse of `encodeSnapshot`, piece by piece. Absent settings come back as absent. */
export function decodePiece(piece: Uint8Array): Change[] {
  // Only `encodeSnapshot` of this very process writes pieces, from checked values.
  return JSON.parse(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength).toString("utf8"));
}

function* piecesOf<T>(entries: readonly T[], put: (entry: T) => Change): Iterable<Uint8Array> {
  for (let at = 0; at < entries.length; at += snapshotPieceChangesMax) {
    yield sharedBytes(JSON.stringify(entries.slice(at, at + snapshotPieceChangesMax).map(put)));
  }
}

function sharedBytes(text: string): Uint8Array {
  const bytes = Buffer.from(new SharedArrayBuffer(Buffer.byteLength(text)));
  bytes.write(text);
  return new Uint8Array(bytes.buffer, 0, bytes.byteLength);
}
